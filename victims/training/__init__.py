"""How the victims are trained: recipes and the objectives of each family."""
