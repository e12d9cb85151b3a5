package sqlite

// Hooks lets the external tests of this package look in and break in.
type Hooks struct {
	MaxBatch    int
	BeforeWrite func() error
	Committed   func(ops int)
	Gathered    func(ops int)
}

// WithHooks returns o with the hooks set.
func WithHooks(o Options, h Hooks) Options {
	o.hooks = hooks{maxBatch: h.MaxBatch, beforeWrite: h.BeforeWrite, committed: h.Committed, gathered: h.Gathered}
	return o
}
