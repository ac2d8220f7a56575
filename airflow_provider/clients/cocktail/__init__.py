"""The client of Cocktail Cloud's builds."""

from airflow_provider.clients.cocktail.client import CocktailClient

__all__ = ["CocktailClient"]
