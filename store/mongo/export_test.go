package mongo

import "time"

// What tests reach of the inside.
const (
	SchemaVersion = schemaVersion
	MetaC         = metaC
)

// WithStep calls step ahead of each write of a sequence.
func (o Options) WithStep(step func() error) Options {
	o.step = step
	return o
}

// WithLease sets how often the holder of the schema lease beats, and after how many looks without a beat it is dead.
func (o Options) WithLease(beat time.Duration, looks int) Options {
	o.lease = leaseTerms{beat: beat, looks: looks}
	return o
}
