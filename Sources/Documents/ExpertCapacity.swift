package import JSONText

/// How many tokens experts take, and how many rows their products have: `expert_capacity` of a job.
///
/// Tokens beyond what an expert takes of a rank are dropped (Lepikhin et al. 2020), which changes what is trained; Megatron-LM
/// has it as `--moe-expert-capacity-factor`, and with `--moe-pad-expert-input-to-capacity` sends and computes as many rows
/// whether or not there are tokens for them.
package struct ExpertCapacity: Sendable, Equatable {
  /// Rows that an expert takes of each rank over those that it would get if all got as many; nil where none are dropped.
  package var factor: Double?
  /// Whether what is not filled is sent and computed as well.
  package var pads = false
  /// What the rows of each expert's products are a multiple of; the kernels', and of no exchange.
  package var rowMultiple = 1

  /// No tokens are dropped, and products have as many rows as there are tokens.
  package static let none = ExpertCapacity()

  package init(factor: Double? = nil, pads: Bool = false, rowMultiple: Int = 1) {
    self.factor = factor
    self.pads = pads
    self.rowMultiple = rowMultiple
  }

  /// C = ⌈T·k/E·c⌉, rows that each of E experts takes of a rank's T tokens, k experts each (Megatron Core's
  /// `moe_utils.get_capacity`); nil where none are dropped.
  package func rowCount(tokenCount: Int, perToken: Int, expertCount: Int) -> Int? {
    factor.map { Int((Double(tokenCount * perToken) / Double(expertCount) * $0).rounded(.up)) }
  }
}

extension ExpertCapacity {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    factor = try fields.optional("factor")?.number(in: 1e-3...1e3, expected: "a number from 0.001 to 1000")
    let padding = fields.optional("pads")
    pads = try padding?.boolean() ?? false
    rowMultiple = try fields.optional("row_multiple")?.integer(in: 1...4_096) ?? 1
    try fields.finish()
    if pads, factor == nil, let padding { throw padding.conflict("only what has a factor can be padded to it") }
  }

  /// `{"factor": 1.25, "pads": true, "row_multiple": 16}`, without what is as it is without the object.
  package var json: JSON {
    object(
      ("factor", factor.map(JSON.number)), ("pads", pads ? .boolean(true) : nil),
      ("row_multiple", rowMultiple == 1 ? nil : .integer(rowMultiple)))
  }
}
