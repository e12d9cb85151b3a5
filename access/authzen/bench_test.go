package authzen

import (
	"fmt"
	"strings"
	"testing"

	"example.com/broker/abac"
)

// grown is the search demo with n records and m more policies about what is asked.
func grown(b *testing.B, records, policies int) *abac.Engine {
	b.Helper()
	set := abac.Set{App: "grown", Schema: `entity user { role: String, department: String }; entity record { department: String, owner: user }; action view appliesTo { principal: user, resource: record };`}
	set.Policies = append(set.Policies, abac.Policy{ID: "owner", Text: `permit (principal, action == Action::"view", resource is record) when { resource.owner == principal };`})
	for i := range policies {
		set.Policies = append(set.Policies, abac.Policy{ID: fmt.Sprint("p", i), Text: fmt.Sprintf(`permit (principal is user, action == Action::"view", resource is record) when { principal.role == "r%d" && resource.department == principal.department };`, i)})
	}
	rows := []string{`{"uid":{"type":"user","id":"alice"},"attrs":{"role":"r0","department":"d0"},"parents":[]}`}
	for i := range records {
		rows = append(rows, fmt.Sprintf(`{"uid":{"type":"record","id":"%06d"},"attrs":{"department":"d%d","owner":{"__entity":{"type":"user","id":"u%d"}}},"parents":[]}`, i, i%10, i))
	}
	set.Entities = "[" + strings.Join(rows, ",") + "]"
	e, err := abac.Compile(set)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func BenchmarkEvaluation(b *testing.B) {
	body := []byte(`{"subject":{"type":"user","id":"alice"},"action":{"name":"view"},"resource":{"type":"record","id":"000000"}}`)
	for _, size := range []struct{ records, policies int }{{100, 1}, {10_000, 1}, {100, 10}, {100, 100}} {
		e := grown(b, size.records, size.policies)
		b.Run(fmt.Sprintf("%d records, %d policies", size.records, size.policies), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o, err := parse(body)
				if err != nil {
					b.Fatal(err)
				}
				q, err := o.question()
				if err != nil || !q.ask(e).Allow {
					b.Fatal("refused", err)
				}
			}
		})
	}
}

// BenchmarkSearch grows with the entities of the type and with the policies about the action, and with nothing else.
func BenchmarkSearch(b *testing.B) {
	o, err := parse([]byte(`{"subject":{"type":"user","id":"alice"},"action":{"name":"view"},"resource":{"type":"record"}}`))
	if err != nil {
		b.Fatal(err)
	}
	q, err := o.search(resources)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []struct{ records, policies int }{{100, 1}, {1000, 1}, {10_000, 1}, {1000, 10}, {1000, 100}} {
		e := grown(b, size.records, size.policies)
		b.Run(fmt.Sprintf("%d records, %d policies", size.records, size.policies), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				found := 0
				for _, id := range q.candidates(resources, e) {
					if one, _ := q.about(resources, id); one.ask(e).Allow {
						found++
					}
				}
				if found != size.records/10 {
					b.Fatalf("found %d", found)
				}
			}
		})
	}
}
