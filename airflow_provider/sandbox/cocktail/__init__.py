"""The stand-in for Cocktail Cloud's build API."""

from airflow_provider.sandbox.cocktail.system import CocktailSystem

__all__ = ["CocktailSystem"]
