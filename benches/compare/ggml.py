"""Turns a Whisper checkpoint (safetensors, tokenizer.json, config.json) into the file that whisper.cpp reads, with the
same weights in f16, so that both recognise by the same numbers."""

import json
import struct

import numpy

MAGIC = 0x67676D6C
PLACES = [
    ("model.", ""), (".layers.", ".blocks."), ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"), ("final_layer_norm", "mlp_ln"), ("encoder_attn.", "cross_attn."),
    ("self_attn.", "attn."), ("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "out"),
    ("fc1", "mlp.0"), ("fc2", "mlp.2"), ("encoder.layer_norm", "encoder.ln_post"), ("decoder.layer_norm", "decoder.ln"),
    ("embed_positions.weight", "positional_embedding"), ("embed_tokens", "token_embedding"),
]
WHOLE = ("conv1.bias", "conv2.bias", "positional_embedding")


def place(name):
    """What whisper.cpp calls a tensor."""
    for old, new in PLACES:
        name = name.replace(old, new)
    return name


def tensors(file):
    """The tensors of a safetensors file, by name."""
    raw = file.read_bytes()
    length = struct.unpack_from("<Q", raw)[0]
    kinds = {"F16": numpy.float16, "F32": numpy.float32}
    for name, at in json.loads(raw[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = at["data_offsets"]
            data = numpy.frombuffer(raw[8 + length + begin:8 + length + end], kinds[at["dtype"]])
            yield name, data.reshape(at["shape"])


def tokens(file):
    """The bytes of each token, in the order of their numbers."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in plain}
    others = (byte for byte in range(256) if byte not in plain)
    letters.update({chr(256 + place): byte for place, byte in enumerate(others)})
    vocabulary = json.loads(file.read_text())["model"]["vocab"]
    for token, _ in sorted(vocabulary.items(), key=lambda entry: entry[1]):
        yield bytes(letters[letter] for letter in token) if all(letter in letters for letter in token) else token.encode()


def mel_filters(count, frequencies=201, rate=16000):
    """Triangles on Slaney's scale, each of the same area."""
    def frequency(mel):
        return numpy.where(mel < 15, mel * 200 / 3, 1000 * numpy.exp(numpy.log(6.4) / 27 * (mel - 15)))

    edges = frequency(numpy.linspace(0, 15 + 27 * numpy.log(rate / 2000) / numpy.log(6.4), count + 2))
    at = numpy.linspace(0, rate / 2, frequencies)
    rising = (at - edges[:-2, None]) / numpy.diff(edges)[:-1, None]
    falling = (edges[2:, None] - at) / numpy.diff(edges)[1:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return (numpy.maximum(0, numpy.minimum(rising, falling)) * area[:, None]).astype(numpy.float32)


def convert(folder, target):
    """Writes the checkpoint in `folder` as `target`."""
    config = json.loads((folder / "config.json").read_text())
    names = ("vocab_size", "max_source_positions", "d_model", "encoder_attention_heads", "encoder_layers",
             "max_target_positions", "d_model", "decoder_attention_heads", "decoder_layers", "num_mel_bins")
    with open(target, "wb") as out:
        out.write(struct.pack("<12i", MAGIC, *(config[name] for name in names), 1))
        filters = mel_filters(config["num_mel_bins"])
        out.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        known = list(tokens(folder / "tokenizer.json"))
        out.write(struct.pack("<i", len(known)))
        for token in known:
            out.write(struct.pack("<i", len(token)) + token)
        for name, data in tensors(folder / "model.safetensors"):
            name = place(name)
            if name.startswith("proj_out"):
                continue
            if name.endswith(("conv1.bias", "conv2.bias")):
                data = data.reshape(-1, 1)
            is_whole = len(data.shape) < 2 or name.endswith(WHOLE)
            data = data.astype(numpy.float32 if is_whole else numpy.float16)
            encoded = name.encode()
            out.write(struct.pack("<3i", len(data.shape), len(encoded), 0 if is_whole else 1))
            out.write(struct.pack(f"<{len(data.shape)}i", *reversed(data.shape)) + encoded + data.tobytes())
