package main

func attacksOnAuthorize() []attack        { return nil }
func attacksOnCodes() []attack            { return nil }
func attacksOnTheTokenEndpoint() []attack { return nil }
func attacksOnRefreshTokens() []attack    { return nil }
func attacksOnTokens() []attack           { return nil }
func attacksOnLinking() []attack          { return nil }
func attacksOnPasswords() []attack        { return nil }
func attacksOnSessions() []attack         { return nil }
func attacksOnTheSurface() []attack       { return nil }
func attacksOnTheStore() []attack         { return nil }
