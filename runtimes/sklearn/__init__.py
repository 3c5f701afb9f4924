"""Serves scikit-learn estimators: .skops files, and .joblib or .pickle ones where running their code was allowed."""
