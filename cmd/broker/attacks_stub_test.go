package main

func attacksOnPasswords() []attack  { return nil }
func attacksOnSessions() []attack   { return nil }
func attacksOnTheSurface() []attack { return nil }
func attacksOnTheStore() []attack   { return nil }
