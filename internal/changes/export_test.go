package changes

// KnownLen is how many identities the follower remembers.
func (f *Follower) KnownLen() int { return len(f.known) }
