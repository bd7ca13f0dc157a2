"""Why an item has its score: additive shares of its neighbours (`parts`), the same in words
(`words`), for one request (`explainer`), as documents (`documents`).
"""
