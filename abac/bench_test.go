package abac_test

import (
	"fmt"
	"strings"
	"testing"

	"example.com/broker/abac"
)

// BenchmarkDecide shows how a decision grows: not with the policies about other actions and the entities that are stored, but with the
// policies about the action that is asked for.
func BenchmarkDecide(b *testing.B) {
	base := abac.Defaults()[abac.Broker]
	ask := abac.Request{Subject: user("ann", "editor"), Action: abac.ActionNamed("delete"), Resource: article("ann", false)}
	run := func(name string, s abac.Set) {
		b.Run(name, func(b *testing.B) {
			e := compiled(b, s)
			b.ReportAllocs()
			for b.Loop() {
				if !e.Decide(ask).Allow {
					b.Fatal("refused")
				}
			}
		})
	}
	run("the policies of articles", base)
	for _, n := range []int{10, 100, 490} {
		for _, action := range []string{"edit", "delete"} {
			s := base
			for i := range n {
				s.Policies = append(s.Policies[:len(s.Policies):len(s.Policies)], abac.Policy{
					ID: fmt.Sprint("p", i), Text: fmt.Sprintf(`permit (principal == User::"u%d", action == Action::%q, resource is Article);`, i, action),
				})
			}
			run(fmt.Sprintf("and %d about %s", n, action), s)
		}
	}
	for _, n := range []int{100, 10_000} {
		s := base
		s.Entities = users(n)
		run(fmt.Sprintf("and %d entities", n), s)
	}
}

func users(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"uid":{"type":"User","id":"u%d"},"attrs":{},"parents":[{"type":"Role","id":"editor"}]}`, i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func BenchmarkCompile(b *testing.B) {
	base := abac.Defaults()[abac.Broker]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := abac.Compile(base); err != nil {
			b.Fatal(err)
		}
	}
}
