"""Which distribution brings a first-party part, so that a missing one can be named."""

from __future__ import annotations

FIRST_PARTY: dict[tuple[str, str], str] = {
    ("model", "llama"): "lorafw-llama",
    ("model", "minimind"): "lorafw-minimind",
    ("exporter", "minimind-pth"): "lorafw-minimind",
    ("model", "glm"): "lorafw-glm",
    ("exporter", "chatglm-adapter"): "lorafw-glm",
    ("exporter", "chatglm"): "lorafw-glm",
    ("exporter", "trace"): "lorafw-continual",
    ("exporter", "gguf"): "lorafw-gguf",
    ("exporter", "gguf-lora"): "lorafw-gguf",
    ("exporter", "ollama"): "lorafw-gguf",
    ("adapter_format", "minimind"): "lorafw-minimind",
    ("adapter_format", "chatglm"): "lorafw-glm",
    ("injector", "peft"): "lorafw-peft",
    ("injector", "custom"): "lorafw-custom",
    ("scenario", "sequential"): "lorafw-continual",
    ("scenario", "joint"): "lorafw-continual",
    ("scenario", "adapter-per-task"): "lorafw-continual",
    ("scenario", "replay"): "lorafw-continual",
    ("scenario", "ewc"): "lorafw-continual",
    ("scenario", "gem"): "lorafw-continual",
    ("scenario", "a-gem"): "lorafw-continual",
    ("scenario", "ogd"): "lorafw-continual",
    ("scenario", "lwf"): "lorafw-continual",
    ("scenario", "lfpt5"): "lorafw-continual",
    ("scenario", "o-lora"): "lorafw-continual",
    ("scenario", "progressive-prompts"): "lorafw-continual",
    ("scenario", "l2p"): "lorafw-continual",
    ("scenario", "mbpa++"): "lorafw-continual",
    ("trainer", "ddp"): "lorafw-ddp",
    ("trainer", "accelerate"): "lorafw-accelerate",
    ("trainer", "deepspeed"): "lorafw-deepspeed",
}
"""Distribution to install, by kind and name."""
