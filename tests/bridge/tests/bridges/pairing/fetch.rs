//! What an invite of a stranger can make this bridge fetch: nothing from inside, and nothing without end.
