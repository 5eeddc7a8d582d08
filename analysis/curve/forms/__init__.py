"""The forms that a curve is fitted with."""
