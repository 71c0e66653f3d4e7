"""Everything that speaks SQL: each function takes the connection and never commits."""
