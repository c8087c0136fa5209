/// The configuration function of 0.3.0 and later: torchtitan's own of the family, with another model
/// (`models/llama3`, `models/qwen3`, `models/deepseek_v3` and `models/common/config_utils.py`).
enum TorchtitanConfigurationPython {
  /// - Parameter contextLength: what the version calls the longest sequence of rotations.
  static func text(contextLength: String) -> String {
    [opening(contextLength: contextLength), denseLayers, mixtures, latentLayers, products, configuration]
      .joined(separator: "\n\n\n") + "\n"
  }

  private static func opening(contextLength: String) -> String {
    """
    # The model of model.json as a torchtitan configuration: --module planned_model --config planned
    import dataclasses
    import json
    from pathlib import Path

    from torchtitan.models.common import ComplexRoPE, CosSinRoPE, Embedding, Linear, RMSNorm
    from torchtitan.models.common.config_utils import (
        get_attention_config, make_ffn_config, make_gqa_config, make_moe_config, make_routed_experts_config,
        make_router_config)

    MODEL = json.loads(Path(__file__).with_name("model.json").read_text())
    ATTENTION = "flex"


    def rope(kind):
        scaling = MODEL["rotary_scaling"]
        latent = MODEL["latent_attention"]
        return kind.Config(
            dim=MODEL["head_dim"] if latent is None else latent["rotary_head_dim"],
            \(contextLength)=MODEL["positions"],
            theta=MODEL["rotary_base"],
            **({"scaling": "none"} if scaling is None else {
                "scaling": "llama",
                "scaling_factor": scaling["factor"],
                "low_freq_factor": scaling["low_freq_factor"],
                "high_freq_factor": scaling["high_freq_factor"],
                "original_max_position_embeddings": scaling["original_max_position_embeddings"],
            } if latent is None else {
                "scaling": "yarn",
                "rope_factor": scaling["factor"],
                "beta_fast": scaling["beta_fast"],
                "beta_slow": scaling["beta_slow"],
                "original_seq_len": scaling["original_max_position_embeddings"],
            }),
        )
    """
  }

  private static let denseLayers = """
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
    """

  private static let mixtures = """
    def feed_forward(width, first, others):
        return make_ffn_config(dim=MODEL["hidden"], hidden_dim=width, w1_param_init=first, w2w3_param_init=others)


    def experts(gate, routed, first, others):
        model = MODEL["experts"]
        counts = {"num_experts": model["count"], "top_k": model["per_token"]}
        groups = model["groups"] or {"count": None, "kept": None}
        return make_moe_config(
            num_experts=model["count"],
            router=make_router_config(
                dim=MODEL["hidden"], gate_param_init=gate, score_func=model["score"], route_norm=model["normalises_weights"],
                route_scale=model["routed_scale"], num_expert_groups=groups["count"], num_limited_groups=groups["kept"],
                **counts),
            routed_experts=make_routed_experts_config(
                dim=MODEL["hidden"], hidden_dim=model["ffn_hidden"], param_init=routed, comm_backend=model["dispatcher"],
                **counts),
            shared_experts=feed_forward(model["shared_ffn_hidden"], first, others) if model["shared_ffn_hidden"] else None,
            load_balance_coeff=1e-3 if model["correction_bias"] else None)


    def has_experts(index):
        return MODEL["experts"] is not None and index not in MODEL["experts"]["dense_layers"]


    def layers_of_qwen3(family):
        layers = family._build_qwen3_layers(
            n_layers=MODEL["layers"], dim=MODEL["hidden"], n_heads=MODEL["heads"], n_kv_heads=MODEL["kv_heads"],
            head_dim=MODEL["head_dim"], hidden_dim=MODEL["ffn_hidden"], attn_backend=ATTENTION, rope=rope(CosSinRoPE))
        for index, layer in enumerate(layers):
            if not MODEL["qk_norm"]:
                layer.attention.qk_norm = None
            if has_experts(index):
                layer.attention.wo.param_init = family._residual_output_init(MODEL["layers"])
                layer.feed_forward = None
                layer.moe = experts(
                    family._LINEAR_INIT, family._moe_experts_init(MODEL["layers"]), family._LINEAR_INIT, family._LINEAR_INIT)
        return layers
    """

  private static let latentLayers = """
    def layers_of_deepseek_v3(family):
        latent = MODEL["latent_attention"]
        layers = []
        for index in range(MODEL["layers"]):
            first, others = family._LINEAR_INIT, family._depth_init(index)
            layers.append(family.DeepSeekV3TransformerBlock.Config(
                attention=family.make_mla_attention_config(
                    layer_id=index, dim=MODEL["hidden"], n_heads=MODEL["heads"], q_lora_rank=latent["query_rank"] or 0,
                    kv_lora_rank=latent["kv_rank"], qk_nope_head_dim=latent["plain_head_dim"],
                    qk_rope_head_dim=latent["rotary_head_dim"], v_head_dim=latent["value_head_dim"],
                    mscale=latent["mscale"], attn_backend=ATTENTION, linear_init=first, norm_init=family._NORM_INIT,
                    depth_init=family._depth_init, rope=rope(ComplexRoPE)),
                attention_norm=RMSNorm.Config(normalized_shape=MODEL["hidden"], param_init=family._NORM_INIT),
                ffn_norm=RMSNorm.Config(normalized_shape=MODEL["hidden"], param_init=family._NORM_INIT),
                feed_forward=None if has_experts(index) else feed_forward(MODEL["ffn_hidden"], first, others),
                moe=experts(others, family._depth_experts_init(index), first, others) if has_experts(index) else None))
        return layers
    """

  private static let products = """
    # Products in FP8: of blocks and of experts, and neither of the router nor of the head.
    def narrowed(model):
        if MODEL["products"] is None:
            return model
        from torchtitan.components import quantization
        fp8 = MODEL["products"] == "float8"
        converters = [
            quantization.Float8LinearConverter.Config(
                recipe_name="rowwise", filter_fqns=["lm_head", "router.gate", "eh_proj"], model_compile_enabled=True)
            if fp8 else quantization.MXFP8LinearConverter.Config(
                fqns=["attention", "feed_forward", "shared_experts"], model_compile_enabled=True)]
        if MODEL["experts"] is not None:
            converters.append(
                quantization.Float8GroupedExpertsConverter.Config(model_compile_enabled=True)
                if fp8 else quantization.MXFP8GroupedExpertsConverter.Config(pad_multiple=128, model_compile_enabled=True))
        for converter in converters:
            model = converter.build().convert(model)
        return model
    """

  private static let configuration = """
    def planned():
        further = {}
        if MODEL["family"] == "deepseek_v3":
            from torchtitan.models import deepseek_v3 as family
            from torchtitan.models.deepseek_v3.config_registry import deepseek_v3_16b as base
            kind, layers = family.DeepSeekV3Model, layers_of_deepseek_v3(family)
            head_init = family._output_linear_init(MODEL["hidden"])
            further["mtp_layers"] = family._build_mtp_layers(
                layers[-1], dim=MODEL["hidden"], num_mtp_layers=MODEL["prediction_layers"])
        elif MODEL["family"] == "qwen3":
            from torchtitan.models import qwen3 as family
            from torchtitan.models.qwen3.config_registry import qwen3_14b as base
            kind, layers, head_init = family.Qwen3Model, layers_of_qwen3(family), family._LINEAR_INIT
        else:
            from torchtitan.models import llama3 as family
            from torchtitan.models.llama3.config_registry import llama3_8b as base
            kind, layers = family.Llama3Model, layers_of_llama3(family)
            head_init = family._output_linear_init(MODEL["hidden"])
        embedding_init = family._EMBEDDING_INIT
        if MODEL["tied_embeddings"]:
            from torchtitan.models.common.param_init import skip_param_init
            embedding_init = {"weight": skip_param_init}
        model = kind.Config(
            dim=MODEL["hidden"],
            vocab_size=MODEL["vocab"],
            enable_weight_tying=MODEL["tied_embeddings"],
            tok_embeddings=Embedding.Config(
                num_embeddings=MODEL["vocab"], embedding_dim=MODEL["hidden"], param_init=embedding_init),
            norm=RMSNorm.Config(normalized_shape=MODEL["hidden"], param_init=family._NORM_INIT),
            lm_head=Linear.Config(in_features=MODEL["hidden"], out_features=MODEL["vocab"], param_init=head_init),
            layers=layers,
            **further,
        )
        for _, norm, _, _ in model.traverse(RMSNorm.Config):
            norm.eps = MODEL["norm_epsilon"]
        config = base()
        config.model_spec = dataclasses.replace(config.model_spec, flavor="planned", model=narrowed(model))
        if MODEL["prediction_layers"]:
            config.loss = family.MTPLoss.Config(global_vocab_size=MODEL["vocab"])
        else:
            config.loss.loss_fn.global_vocab_size = MODEL["vocab"]
        if MODEL["products"] is not None:
            config.compile.enable, config.compile.components = True, ["model", "loss"]
        if MODEL["model_parts"]:
            config.parallelism.module_fqns_per_model_part = MODEL["model_parts"]
        return config
    """
}
