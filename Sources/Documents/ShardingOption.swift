package import JSONText

/// A plan's strategy with some shard degrees, its own or others: what they cost in time, memory and bytes on the links.
package struct ShardingOption: Sendable, Equatable {
  /// `this plan`, or the known scheme that it is.
  package let name: String
  package let sharding: Sharding
  package let iterationSeconds: Double
  package let peakBytes: Int
  package let verdict: Prediction.Verdict
  /// Bytes that all ranks together send in an iteration to divide states among replicas,
  /// over links of each level of the cluster, innermost first.
  package let sentBytes: [Int]

  package init(
    name: String, sharding: Sharding, iterationSeconds: Double, peakBytes: Int, verdict: Prediction.Verdict,
    sentBytes: [Int]
  ) {
    self.name = name
    self.sharding = sharding
    self.iterationSeconds = iterationSeconds
    self.peakBytes = peakBytes
    self.verdict = verdict
    self.sentBytes = sentBytes
  }

  /// - Parameter levelCount: levels of the cluster's links.
  init(_ field: Field, levelCount: Int) throws(DocumentError) {
    let degree = 1...1_048_576
    var fields = try field.fields()
    name = try fields.required("name").name()
    sharding = Sharding(
      weightDegree: try fields.required("weight_shards").integer(in: degree),
      gradientDegree: try fields.required("gradient_shards").integer(in: degree),
      optimizerDegree: try fields.required("optimizer_shards").integer(in: degree),
      secondaryDegree: try fields.optional("secondary_shards")?.integer(in: 2...1_048_576),
      quantisesWeights: try fields.required("quantise_weights").boolean(),
      quantisesGradients: try fields.required("quantise_gradients").boolean())
    iterationSeconds = try fields.required("iteration_seconds").positiveResult()
    peakBytes = try fields.required("peak_bytes").integer(in: 0...Int.max)
    verdict = try fields.required("verdict").choice(of: Prediction.Verdict.self)
    var sent: [Int] = []
    for entry in try fields.required("sent_bytes").array(count: levelCount...levelCount) {
      sent.append(try entry.integer(in: 0...Int.max))
    }
    sentBytes = sent
    try fields.finish()
  }

  package var json: JSON {
    object(
      ("name", .string(name)), ("weight_shards", .integer(sharding.weightDegree)),
      ("gradient_shards", .integer(sharding.gradientDegree)),
      ("optimizer_shards", .integer(sharding.optimizerDegree)),
      ("secondary_shards", sharding.secondaryDegree.map(JSON.integer)),
      ("quantise_weights", .boolean(sharding.quantisesWeights)),
      ("quantise_gradients", .boolean(sharding.quantisesGradients)),
      ("iteration_seconds", .number(iterationSeconds)), ("peak_bytes", .integer(peakBytes)),
      ("verdict", .string(verdict.rawValue)), ("sent_bytes", .integers(sentBytes)))
  }
}
