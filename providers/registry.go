package providers

import (
	"fmt"
	"maps"
	"slices"

	"example.com/broker/internal/fault"
)

// Registry holds the configured providers in the order their buttons are shown. It does not change after New.
type Registry struct {
	order []string
	byID  map[string]Provider
}

// NewRegistry builds each provider with the factory of its kind and returns every problem at once.
func NewRegistry(factories map[string]Factory, configs []Config) (*Registry, []error) {
	r := &Registry{byID: map[string]Provider{}}
	var problems []error
	for _, c := range configs {
		make, ok := factories[c.Kind]
		if !ok {
			problems = append(problems, fmt.Errorf("providers.%s.kind: %q is not one of %q", c.ID, c.Kind, slices.Sorted(maps.Keys(factories))))
			continue
		}
		p, err := make(c)
		if err != nil {
			problems = append(problems, fmt.Errorf("providers.%s: %w", c.ID, err))
			continue
		}
		r.order = append(r.order, c.ID)
		r.byID[c.ID] = p
	}
	return r, problems
}

// Get returns an enabled provider: fault.NotFound "provider_unknown", or fault.Forbidden "provider_disabled".
func (r *Registry) Get(id string) (Provider, error) {
	p, ok := r.byID[id]
	if !ok {
		return nil, fault.New(fault.NotFound, "provider_unknown", "There is no provider %q.", id)
	}
	if p.Config().Disabled {
		return nil, fault.New(fault.Forbidden, "provider_disabled", "%s is switched off.", p.Config().Name)
	}
	return p, nil
}

// Enabled returns the enabled providers in order.
func (r *Registry) Enabled() []Provider {
	var out []Provider
	for _, id := range r.order {
		if p := r.byID[id]; !p.Config().Disabled {
			out = append(out, p)
		}
	}
	return out
}
