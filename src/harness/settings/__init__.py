"""Settings: what each may be, how a shell hands them over, and what they may build; read before anything heavy."""
