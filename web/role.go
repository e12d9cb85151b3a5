package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/access"
	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// RecentSignIn is how long ago somebody may have proved who they are for what only an admin may do.
const RecentSignIn = 10 * time.Minute

// Reach demands a signed-in person, whatever their roles, by a credential that reaches as far as the permission. It needs FirstParty and
// Now.
func (g Guards) Reach(want rbac.Permission) Guard {
	either := g.Either()
	return Guard{either.Name + " scope " + string(want), func(c *gin.Context) error {
		if err := either.Check(c); err != nil {
			return err
		}
		return access.Within(g.Actor(c), want)
	}}
}

// Role demands a signed-in person who holds one of the roles, by a credential that reaches as far as the permission. It needs FirstParty
// and Now.
func (g Guards) Role(want rbac.Permission, roles ...string) Guard {
	either := g.Either()
	return Guard{fmt.Sprintf("%s role %s scope %s", either.Name, strings.Join(roles, "|"), want), func(c *gin.Context) error {
		if err := either.Check(c); err != nil {
			return err
		}
		a := g.Actor(c)
		if err := access.AnyRole(a, roles...); err != nil {
			return err
		}
		return access.Within(a, want)
	}}
}

// Recent is guard, and for a browser session that the sign-in is not longer ago than RecentSignIn: fault.Forbidden "sign_in_again". A
// session lives for hours on a screen that somebody else may sit down at; an access token lives for minutes in a program. It needs Now.
func (g Guards) Recent(guard Guard) Guard {
	return Guard{guard.Name + " recent", func(c *gin.Context) error {
		if err := guard.Check(c); err != nil {
			return err
		}
		if s := CallerOf(c).Session; s != nil && g.Now().Sub(s.AuthTime) > RecentSignIn {
			return fault.New(fault.Forbidden, "sign_in_again", "This needs a sign-in within the last %d minutes. Sign in again, then repeat.", int(RecentSignIn.Minutes()))
		}
		return nil
	}}
}
