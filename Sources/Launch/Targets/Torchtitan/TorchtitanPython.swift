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
    case .flags: TorchtitanConfigurationPython.text(contextLength: "max_seq_len")
    case .flagsInTokens: TorchtitanConfigurationPython.text(contextLength: "max_context_length")
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
}
