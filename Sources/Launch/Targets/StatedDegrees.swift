import Documents

/// What readers of frameworks' files have in common.
enum StatedDegrees {
  /// The most ranks, and the largest degree, that a file may state.
  static let bounds = 1...1_048_576

  /// The mesh of stated degrees.
  ///
  /// - Parameters:
  ///   - deviceCount: what somebody else says of the ranks in all; nil where nobody does.
  ///   - field: the place that a contradiction is shown at.
  static func mesh(
    tensor: Int, pipeline: Int, data: Int, context: Int = 1, deviceCount: Int?, at field: Field
  ) throws(DocumentError) -> Mesh {
    let (stage, stageOverflows) = tensor.multipliedReportingOverflow(by: pipeline)
    let (block, blockOverflows) = stage.multipliedReportingOverflow(by: context)
    let (ranks, overflows) = block.multipliedReportingOverflow(by: data)
    guard !stageOverflows, !blockOverflows, !overflows, bounds.contains(ranks) else {
      throw field.conflict("degrees multiply to more than \(bounds.upperBound) ranks")
    }
    if let deviceCount, deviceCount != ranks {
      throw field.conflict(
        """
        tensor \(tensor) × pipeline \(pipeline) × data \(data)\(context > 1 ? " × context \(context)" : "") are \(ranks) \
        ranks, not the \(deviceCount) devices
        """)
    }
    return [.tensor: tensor, .pipeline: pipeline, .data: data, .context: context]
  }

  /// The data degree that is left of a number of devices.
  static func dataDegree(deviceCount: Int, block: Int, at field: Field) throws(DocumentError) -> Int {
    guard deviceCount % block == 0 else {
      throw field.conflict("\(deviceCount) devices do not divide into groups of \(block) ranks")
    }
    return deviceCount / block
  }

  /// The one file that is the configuration, where others may lie beside it.
  static func only(
    _ files: [LaunchFile], _ what: String, where isMeant: (LaunchFile) -> Bool
  ) throws(DocumentError) -> LaunchFile {
    let meant = files.filter(isMeant)
    guard meant.count == 1 else {
      throw DocumentError(
        source: files.map(\.name).joined(separator: ", "), location: "", expected: "expected one \(what)",
        found: "\(meant.count)")
    }
    return meant[0]
  }

  /// A product of batch sizes that a job may have.
  static func globalBatch(_ factors: [Int], at field: Field) throws(DocumentError) -> Int {
    var product = 1
    for factor in factors {
      let (next, overflows) = product.multipliedReportingOverflow(by: factor)
      guard !overflows, TrainingJob.Bounds.globalBatch.contains(next) else {
        throw field.conflict("the batch is more than \(TrainingJob.Bounds.globalBatch.upperBound) sequences")
      }
      product = next
    }
    return product
  }
}
