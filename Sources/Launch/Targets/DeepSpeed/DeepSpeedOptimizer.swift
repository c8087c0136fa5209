import Documents
import JSONText

/// The section `optimizer` of DeepSpeed's JSON, and what the section of the format says of master weights.
///
/// Names are those of `runtime/config.py` (`DEEPSPEED_OPTIMIZERS`), and of optimizers that scripts bring.
struct DeepSpeedOptimizer {
  /// Nil where nobody states it.
  private(set) var optimizer: Optimizer?

  init(_ fields: inout Fields, precision: Precision?, notes: inout [String]) throws(DocumentError) {
    var stated: Optimizer?
    if let section = fields.optional("optimizer") {
      var settings = try section.fields()
      let name = try settings.required("type").string()
      stated = Self.optimizer(name)
      if stated == nil { notes.append("the optimizer \(name.oneLine) is not known: states of adam are counted") }
    }
    if let precision, precision != .fp32, let section = fields.optional(precision.rawValue) {
      var format = try section.fields()
      let key = "\(precision.rawValue)_master_weights_and_grads"
      if try format.optional(key)?.boolean() == true {
        var without = stated ?? .adam
        without.masterWeights = .none
        if try format.optional("bf16_optimizer_states")?.boolean() == true { without.moments = .bf16 }
        stated = without
      }
    }
    optimizer = stated
  }

  private static func optimizer(_ name: String) -> Optimizer? {
    switch name.lowercased() {
    case "adam", "adamw", "onebitadam", "zerooneadam", "lamb", "onebitlamb", "muadam", "muadamw": .adam
    case "adam8bit", "adamw8bit": Optimizer(moments: .int8)
    case "pagedadamw8bit", "paged_adamw_8bit": Optimizer(moments: .int8, isPaged: true)
    case "pagedadamw", "paged_adamw_32bit": Optimizer(isPaged: true)
    case "sgd": Optimizer(.sgd)
    // One moment each.
    case "lion", "adagrad", "musgd": Optimizer(.momentum)
    case "adafactor": Optimizer(.adafactor)
    case "muon": Optimizer(.muon)
    default: nil
    }
  }
}
