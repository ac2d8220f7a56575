"""The stand-in for Cocktail Cloud's build API."""
