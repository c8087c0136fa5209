import Documents

/// The optimizer, the formats of its states, and what the host has of it.
extension MegatronReader {
  /// Defaults and rules are those of `training/arguments.py` and `core/optimizer/optimizer_config.py`.
  mutating func optimizer(_ precision: Precision) throws(DocumentError) -> Optimizer {
    let names = ["adam", "sgd", "muon", "dist_muon", "lion", "soap", "adaptive_muon"]
    let name = try flags.word("--optimizer", of: names) ?? "adam"
    var optimizer = Optimizer()
    switch name {
    case "sgd":
      let decay = try flags.number("--sgd-momentum", in: 0...1) ?? 0.9
      optimizer.rule = decay == 0 ? .sgd : .momentum
    // One moment, like momentum's.
    case "lion": optimizer.rule = .momentum
    case "muon", "dist_muon": optimizer.rule = .muon
    case "adaptive_muon", "soap":
      optimizer.rule = .muon
      note("\(name) is taken as muon: what it keeps and computes beside is not modelled")
    default: break
    }
    guard flags.has("--use-precision-aware-optimizer") else { return optimizer }
    guard optimizer.rule == .adam else {
      throw try flags.required("--use-precision-aware-optimizer").conflict("it is of Adam only")
    }
    let formats = ["fp32", "fp16", "bf16", "fp8"]
    let first = try flags.word("--exp-avg-dtype", of: formats) ?? "fp32"
    let second = try flags.word("--exp-avg-sq-dtype", of: formats) ?? "fp32"
    optimizer.moments = Self.moments(first)
    if first != second {
      optimizer.moments = [first, second].contains("fp32") ? .fp32 : .bf16
      note("the two moments are taken in one format, \(optimizer.moments.rawValue)")
    }
    // Transformer Engine keeps of an fp32 weight what its bf16 copy has not; the host has weights of its own.
    if precision == .bf16, !flags.has("--optimizer-cpu-offload") { optimizer.masterWeights = .remainders }
    if try flags.word("--main-params-dtype", of: ["fp32", "fp16"]) == "fp16", precision == .fp16 {
      note("master weights of fp16 are taken as fp32")
    }
    return optimizer
  }

  /// What the host holds and does.
  mutating func hosting(layerCount: Int) throws(DocumentError) -> Hosting {
    var hosting = Hosting.none
    if flags.has("--optimizer-cpu-offload") {
      let fraction = try flags.number("--optimizer-offload-fraction", in: 0...1) ?? 1
      hosting.updatePercent = Int((100 * fraction).rounded())
      if !flags.has("--overlap-cpu-optimizer-d2h-h2d") {
        note(
          "transfers of the host's update are taken to hide under it, which --overlap-cpu-optimizer-d2h-h2d asks for")
      }
    }
    if let layers = try flags.integer("--cpu-offloading-num-layers", in: 0...16_384), layers > 0 {
      hosting.activations = layers < layerCount - 1 ? .layers(Int32(layers)) : .allButLast
    }
    return hosting
  }

  private static func moments(_ format: String) -> Optimizer.Moments {
    switch format {
    case "fp16", "bf16": .bf16
    case "fp8": .int8
    default: .fp32
    }
  }
}
