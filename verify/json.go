package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxDepth bounds how deep objects and arrays may nest, the outermost object included.
	maxDepth = 16
	// maxMembers bounds the members of all objects of one document together. It also keeps the search for duplicates,
	// which compares every name with its siblings, cheap.
	maxMembers = 256
)

// member is one member of an object: its decoded name and its value as it was written.
type member struct {
	name  string
	value []byte
}

// decodeObject reads one JSON object and returns its members in order; their values are parts of data. It refuses what
// parsers disagree about and an attacker could use: duplicate names at any depth, invalid UTF-8, half surrogate pairs,
// trailing data, more than maxDepth or maxMembers.
//
// encoding/json is not enough: it matches names without regard to case, keeps the last of two duplicates, mends broken
// UTF-8, and nests ten thousand deep.
func decodeObject(data []byte) ([]member, error) {
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return nil, errors.New("it is not a JSON object")
	}
	members := make([]member, 0, 16)
	if err := s.object(1, &members); err != nil {
		return nil, err
	}
	s.space()
	if s.pos != len(data) {
		return nil, s.fault("more follows the object")
	}
	return members, nil
}

// scanner walks a JSON text once, by the grammar of RFC 8259.
type scanner struct {
	data    []byte
	pos     int
	members int
	// names holds the names of every object that is still open, the innermost last.
	names []string
}

func (s *scanner) fault(what string) error {
	return fmt.Errorf("%s at byte %d", what, s.pos)
}

// peek returns the byte at the current position, and 0, which no JSON text contains outside strings, at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value passes one value; depth counts the objects and arrays around it.
func (s *scanner) value(depth int) error {
	c := s.peek()
	if (c == '{' || c == '[') && depth == maxDepth {
		return s.fault(fmt.Sprintf("it nests deeper than %d", maxDepth))
	}
	switch c {
	case '{':
		return s.object(depth+1, nil)
	case '[':
		return s.array(depth + 1)
	case '"':
		_, _, err := s.quoted()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

// object passes an object and appends its members to into, if given.
func (s *scanner) object(depth int, into *[]member) error {
	s.pos++ // the opening brace
	first := len(s.names)
	s.space()
	if s.take('}') {
		return nil
	}
	for {
		s.space()
		m, err := s.member(depth, first)
		if err != nil {
			return err
		}
		if into != nil {
			*into = append(*into, m)
		}
		s.space()
		if s.take('}') {
			s.names = s.names[:first]
			return nil
		}
		if !s.take(',') {
			return s.fault("a comma or closing brace is missing")
		}
	}
}

// member passes a name and its value; names from first on are those of its siblings.
func (s *scanner) member(depth, first int) (member, error) {
	name, err := s.text()
	if err != nil {
		return member{}, err
	}
	if s.members++; s.members > maxMembers {
		return member{}, s.fault(fmt.Sprintf("it has more than %d members", maxMembers))
	}
	if slices.Contains(s.names[first:], name) {
		return member{}, fmt.Errorf("the member %s appears twice", show(name))
	}
	s.names = append(s.names, name)
	s.space()
	if !s.take(':') {
		return member{}, s.fault("a colon is missing")
	}
	s.space()
	start := s.pos
	if err := s.value(depth); err != nil {
		return member{}, err
	}
	return member{name: name, value: s.data[start:s.pos]}, nil
}

func (s *scanner) array(depth int) error {
	s.pos++ // the opening bracket
	s.space()
	if s.take(']') {
		return nil
	}
	for {
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fault("a comma or closing bracket is missing")
		}
	}
}

// text passes a string and returns what it says.
func (s *scanner) text() (string, error) {
	quoted, plain, err := s.quoted()
	if err != nil {
		return "", err
	}
	return unquote(quoted, plain)
}

// unquote returns what a string that the scanner has passed says.
func unquote(quoted []byte, plain bool) (string, error) {
	if plain {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	// The scanner has refused everything that encoding/json would silently replace.
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return "", fmt.Errorf("read a string: %w", err)
	}
	return text, nil
}

// quoted passes a string and returns it with its quotes; plain means that it holds no escapes.
func (s *scanner) quoted() (quoted []byte, plain bool, err error) {
	start := s.pos
	if !s.take('"') {
		return nil, false, s.fault("a string is missing")
	}
	plain = true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos], plain, nil
		case c < 0x20:
			return nil, false, s.fault("a string holds a control character")
		case c == '\\':
			plain = false
			if !s.escape() {
				return nil, false, s.fault("a string holds a bad escape")
			}
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, false, s.fault("a string is not UTF-8")
			}
			s.pos += size
		}
	}
	return nil, false, s.fault("a string does not end")
}

// escape passes one escape sequence, or two where they form a surrogate pair.
func (s *scanner) escape() bool {
	if s.pos+1 < len(s.data) && strings.IndexByte(`"\/bfnrt`, s.data[s.pos+1]) >= 0 {
		s.pos += 2
		return true
	}
	r, ok := s.unicodeEscape()
	if !ok || !utf16.IsSurrogate(r) {
		return ok
	}
	low, ok := s.unicodeEscape()
	return ok && utf16.DecodeRune(r, low) != utf8.RuneError
}

// unicodeEscape passes \uXXXX.
func (s *scanner) unicodeEscape() (rune, bool) {
	const length = len(`\u0000`)
	rest := s.data[s.pos:]
	if len(rest) < length || rest[0] != '\\' || rest[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(rest[2:length]), 16, 16)
	if err != nil {
		return 0, false
	}
	s.pos += length
	return rune(n), true
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return s.fault("a value is missing")
	}
	if s.take('.') && !s.digits() {
		return s.fault("a number is incomplete")
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return s.fault("a number is incomplete")
		}
	}
	return nil
}

// digits passes one digit or more.
func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.fault("a value is missing")
	}
	s.pos += len(word)
	return nil
}

// stringOf reads the value of a member as a string.
func stringOf(value []byte) (string, bool) {
	if value[0] != '"' {
		return "", false
	}
	text, err := unquote(value, bytes.IndexByte(value, '\\') < 0)
	return text, err == nil
}

// stringsOf reads the value of a member as an array of strings.
func stringsOf(value []byte) ([]string, bool) {
	s := scanner{data: value}
	if !s.take('[') {
		return nil, false
	}
	list := []string{}
	s.space()
	if s.take(']') {
		return list, true
	}
	for {
		s.space()
		text, err := s.text()
		if err != nil {
			return nil, false
		}
		list = append(list, text)
		s.space()
		if s.take(']') {
			return list, true
		}
		s.take(',') // The value was passed whole before: only a comma can stand here.
	}
}

// foldedTwin returns the name among exact that name equals but for case, and "" if there is none or name is the exact
// one. Folding is Unicode's, as in encoding/json, to which a long s is an s too. All of exact is lower case.
func foldedTwin(name string, exact []string) string {
	if isLower(name) {
		return ""
	}
	for _, e := range exact {
		if strings.EqualFold(name, e) {
			return e
		}
	}
	return ""
}

// isLower reports whether name is made of ASCII characters without upper-case letters; such a name has no folded twin
// but itself.
func isLower(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}
