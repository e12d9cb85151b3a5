package main

func attacksOnTheSurface() []attack { return nil }
func attacksOnTheStore() []attack   { return nil }
