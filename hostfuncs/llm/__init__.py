"""Language models behind an OpenAI-compatible endpoint, asked by the host for the guest."""

from hostfuncs.llm._budget import Budget
from hostfuncs.llm._functions import chat, embed

__all__ = ["Budget", "chat", "embed"]
