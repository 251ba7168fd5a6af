"""Searchers behind ask and tell, the objective they maximise, and the Pareto front. Importing it imports no torch."""

from mnascli.search.objective import Objective
from mnascli.search.pareto import front, hypervolume
from mnascli.search.searcher import SEARCHERS, Result, Searcher, create_searcher

__all__ = ["SEARCHERS", "Objective", "Result", "Searcher", "create_searcher", "front", "hypervolume"]
