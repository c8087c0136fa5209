/// Full tensors from the shards of a tensor group, and how far two sets of numbers are apart.
enum ParameterComparison {
  /// The full part, in the layout of tensor degree 1, from the flat buffers of all ranks of a tensor group.
  ///
  /// Replicated tensors are those of the first rank. Rows of the padded vocabulary beyond those of `full` are left out.
  /// - Parameters:
  ///   - shards: layout and buffer of every rank, in the group's order.
  ///   - full: layout of the part at tensor degree 1.
  static func assembled(shards: [(layout: ParameterLayout, values: [Float])], as full: ParameterLayout) -> [Float] {
    fatalError("not yet")
  }

  /// Largest difference over the largest magnitude of the reference: 0 for the same numbers, not finite if one is not.
  static func relativeError(_ values: [Float], reference: [Float]) -> Double { fatalError("not yet") }
}
