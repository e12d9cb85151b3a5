package apikeys

// What the external tests reach of the inside.
var (
	Text  = text
	Parse = parse
)

const MaxKeys = maxKeys
