"""Looks at a whole house from outside, and says what is wrong and what to mend."""
