package users

// Occupy takes a worker of the pool until the returned function is called.
func (h *Hasher) Occupy() (release func()) {
	h.workers <- struct{}{}
	return func() { <-h.workers }
}

// ReadHash returns what the libraries are given for a stored hash.
func ReadHash(s string) (string, error) {
	p, err := parsePHC(s)
	return p.text, err
}

// Fill takes every place of the pool until the returned function is called.
func (h *Hasher) Fill() (release func()) {
	for range cap(h.places) {
		h.places <- struct{}{}
	}
	return func() {
		for range cap(h.places) {
			<-h.places
		}
	}
}
