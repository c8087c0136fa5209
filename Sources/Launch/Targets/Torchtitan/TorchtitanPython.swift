/// The Python that torchtitan needs beside its configuration: a model is a value of its own code in all dialects.
enum TorchtitanPython {
  /// The program that every rank starts. Python finds the model's module beside it.
  static func start(_ dialect: TorchtitanDialect) -> String {
    dialect == .tables
      ? """
      from torchtitan.train import Trainer, main

      if __name__ == "__main__":
          main(Trainer)

      """
      : """
      from torchtitan.train import main

      if __name__ == "__main__":
          main()

      """
  }

  /// The module that makes the model of `model.json` known.
  static func model(_ dialect: TorchtitanDialect) -> String {
    switch dialect {
    case .tables: flavour
    case .flags: configuration(contextLength: "max_seq_len")
    case .flagsInTokens: configuration(contextLength: "max_context_length")
    }
  }

  /// A flavour of Llama 3 for 0.2.2 (`models/llama3/model/args.py`): its feed-forward width is a multiple of
  /// `multiple_of`, at least `ffn_dim_multiplier` times 8/3 of the width.
  private static let flavour = """
    # The model of model.json as the flavour "planned" of torchtitan's Llama 3.
    import json
    from pathlib import Path

    from torchtitan.models.llama3 import TransformerModelArgs, llama3_args
    from torchtitan.models.llama3.model.args import RoPEScalingArgs

    MODEL = json.loads(Path(__file__).with_name("model.json").read_text())
    SCALING = MODEL["rotary_scaling"] or {"factor": 1.0}

    llama3_args["planned"] = TransformerModelArgs(
        dim=MODEL["hidden"],
        n_layers=MODEL["layers"],
        n_heads=MODEL["heads"],
        n_kv_heads=MODEL["kv_heads"],
        vocab_size=MODEL["vocab"],
        multiple_of=MODEL["ffn_hidden"],
        ffn_dim_multiplier=min(1.0, MODEL["ffn_hidden"] / (4 * MODEL["hidden"])),
        norm_eps=MODEL["norm_epsilon"],
        rope_theta=MODEL["rotary_base"],
        rope_scaling_args=RoPEScalingArgs(
            scaling_factor=SCALING["factor"],
            low_freq_factor=SCALING.get("low_freq_factor", 1.0),
            high_freq_factor=SCALING.get("high_freq_factor", 4.0),
            original_max_position_embeddings=SCALING.get("original_max_position_embeddings", 8192),
        ),
        max_seq_len=MODEL["positions"],
    )

    """

  /// A configuration function for 0.3.0 and later: torchtitan's own of the family, with another model.
  private static func configuration(contextLength: String) -> String {
    """
    # The model of model.json as a torchtitan configuration: --module planned_model --config planned
    import dataclasses
    import json
    from pathlib import Path

    from torchtitan.models.common import ComplexRoPE, CosSinRoPE, Embedding, Linear, RMSNorm
    from torchtitan.models.common.config_utils import get_attention_config, make_gqa_config

    MODEL = json.loads(Path(__file__).with_name("model.json").read_text())
    ATTENTION = "flex"


    def rope(kind):
        scaling = MODEL["rotary_scaling"]
        return kind.Config(
            dim=MODEL["head_dim"],
            \(contextLength)=MODEL["positions"],
            theta=MODEL["rotary_base"],
            **({"scaling": "none"} if scaling is None else {
                "scaling": "llama",
                "scaling_factor": scaling["factor"],
                "low_freq_factor": scaling["low_freq_factor"],
                "high_freq_factor": scaling["high_freq_factor"],
                "original_max_position_embeddings": scaling["original_max_position_embeddings"],
            }),
        )


    def layers_of_llama3(family):
        layers = family._build_llama3_layers(
            n_layers=MODEL["layers"], dim=MODEL["hidden"], n_heads=MODEL["heads"], n_kv_heads=MODEL["kv_heads"],
            hidden_dim=MODEL["ffn_hidden"], rope=rope(ComplexRoPE), attn_backend=ATTENTION)
        for index, layer in enumerate(layers):
            layer.attention = make_gqa_config(
                dim=MODEL["hidden"], n_heads=MODEL["heads"], n_kv_heads=MODEL["kv_heads"], head_dim=MODEL["head_dim"],
                wqkv_param_init=family._LINEAR_INIT, wo_param_init=family._depth_init(index),
                inner_attention=get_attention_config(ATTENTION), fuse_qkv=True, rope=rope(ComplexRoPE))
        return layers


    def layers_of_qwen3(family):
        return family._build_qwen3_layers(
            n_layers=MODEL["layers"], dim=MODEL["hidden"], n_heads=MODEL["heads"], n_kv_heads=MODEL["kv_heads"],
            head_dim=MODEL["head_dim"], hidden_dim=MODEL["ffn_hidden"], attn_backend=ATTENTION, rope=rope(CosSinRoPE))


    def planned():
        if MODEL["family"] == "qwen3":
            from torchtitan.models import qwen3 as family
            from torchtitan.models.qwen3.config_registry import qwen3_14b as base
            kind, layers, head_init = family.Qwen3Model, layers_of_qwen3(family), family._LINEAR_INIT
        else:
            from torchtitan.models import llama3 as family
            from torchtitan.models.llama3.config_registry import llama3_8b as base
            kind, layers = family.Llama3Model, layers_of_llama3(family)
            head_init = family._output_linear_init(MODEL["hidden"])
        for layer in layers:
            layer.attention_norm.eps = layer.ffn_norm.eps = MODEL["norm_epsilon"]
            if layer.attention.qk_norm is not None:
                layer.attention.qk_norm.eps = MODEL["norm_epsilon"]
        model = kind.Config(
            dim=MODEL["hidden"],
            vocab_size=MODEL["vocab"],
            enable_weight_tying=MODEL["tied_embeddings"],
            tok_embeddings=Embedding.Config(
                num_embeddings=MODEL["vocab"], embedding_dim=MODEL["hidden"],
                param_init=family._EMBEDDING_SKIP_INIT if MODEL["tied_embeddings"] else family._EMBEDDING_INIT),
            norm=RMSNorm.Config(
                normalized_shape=MODEL["hidden"], eps=MODEL["norm_epsilon"], param_init=family._NORM_INIT),
            lm_head=Linear.Config(in_features=MODEL["hidden"], out_features=MODEL["vocab"], param_init=head_init),
            layers=layers,
        )
        config = base()
        config.model_spec = dataclasses.replace(config.model_spec, flavor="planned", model=model)
        config.loss.loss_fn.global_vocab_size = MODEL["vocab"]
        if MODEL["model_parts"]:
            config.parallelism.module_fqns_per_model_part = MODEL["model_parts"]
        return config

    """
  }
}
