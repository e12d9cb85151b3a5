package config

// Validate is being written.
func Validate(Config, bool) []Problem { return nil }

const (
	pkceOptional  = "optional"
	introspectAny = "any"
)
