package audit

// Broken is Check for events that are given oldest first.
func Broken(events []Event) []string {
	var c Check
	for i := len(events) - 1; i >= 0; i-- {
		c.Add(events[i])
	}
	var ids []string
	for _, e := range c.Broken() {
		ids = append(ids, e.ID)
	}
	return ids
}
