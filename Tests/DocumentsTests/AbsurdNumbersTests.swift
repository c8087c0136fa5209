import Documents
import JSONText
import TestSupport
import Testing

/// Numbers that were once let in and stopped the process later: by an infinite time, an overflow, or a plan that could
/// not be read again.
@Suite struct AbsurdNumbersTests {
  @Test(arguments: [1e-300, 1e-25, 1e25])
  func aRateThatMakesTimesInfiniteIsRefused(bytesPerSecond: Double) throws {
    let cluster = try Shipped.catalog.cluster("dgx-a100-4").json
    for pointer in [
      "/levels/0/bytes_per_second", "/device/datasheet/memory_bytes_per_second",
      "/device/datasheet/peak_flop_per_second/fp16",
    ] {
      let error = #expect(throws: DocumentError.self) {
        try Self.cluster(cluster.replacing(pointer, with: .number(bytesPerSecond)))
      }
      #expect(error?.location == pointer)
    }
  }

  @Test func aFractionThatMakesTimesInfiniteIsRefused() throws {
    let cluster = try Shipped.catalog.cluster("dgx-a100-4").json
    for pointer in ["/device/compute/gemm_peak_fraction", "/device/memory/limit_fraction"] {
      #expect(throws: DocumentError.self) { try Self.cluster(cluster.replacing(pointer, with: .number(1e-300))) }
    }
  }

  /// 131,072 nodes of 1,024 devices: the placement alone is more JSON than any reader takes.
  @Test func moreDevicesThanAPlanCanListAreRefused() throws {
    let cluster = try Shipped.catalog.cluster("dgx-a100-4").json
      .replacing("/nodes", with: .integer(131_072)).replacing("/levels/1/span", with: .integer(1_048_576))
    let most = try Self.cluster(cluster)
    #expect(most.deviceCount == 1_048_576)
    let more = cluster.replacing("/levels/1/span", with: .integer(2_097_152))
      .replacing("/levels/0/span", with: .integer(16)).replacing("/devices_per_node", with: .integer(16))
    let error = #expect(throws: DocumentError.self) { try Self.cluster(more) }
    #expect(error?.expected.contains("2097152 devices") == true)
  }

  @Test func aHeadSizeThatItsOwnDocumentCouldNotStateIsRefused() throws {
    let model = JSON.object([
      JSONMember("model_type", .string("gpt2")), JSONMember("n_embd", .integer(131_072)),
      JSONMember("n_layer", .integer(1)), JSONMember("n_head", .integer(1)), JSONMember("vocab_size", .integer(1)),
    ])
    #expect(throws: DocumentError.self) { try ModelDescription(Field(model, source: "document")) }
    let narrower = try ModelDescription(Field(model.replacing("/n_head", with: .integer(32)), source: "document"))
    #expect(try ModelDescription(Field(narrower.json, source: "document")) == narrower)
  }

  /// One token of vocabulary is padded to 65,536: 2⁴⁶ tokens times that, in bytes, are beyond 63 bits.
  @Test func aMicroBatchWhoseLogitsOverflowOnlyWhenPaddedIsRefused() throws {
    let model = try ModelDescription(
      name: "narrow", family: .llama, layerCount: 1, hiddenSize: 1, headCount: 1, feedForwardSize: 1, vocabularySize: 1,
      hasGatedFeedForward: false, hasTiedEmbeddings: true)
    let job = try TrainingJob(model: model, sequenceLength: 4_194_304, globalBatch: 16_777_216)
    var strategy = StrategyPattern().completed(deviceCount: 1, flashAttention: true, overlap: true)
    #expect(strategy.violation(job: job, deviceCount: 1, hasFlashAttention: true) == nil)
    strategy.microBatch = 16_777_216
    #expect(
      strategy.violation(job: job, deviceCount: 1, hasFlashAttention: true)?.rule == "more bytes than can be counted")
  }

  /// Times follow from other numbers and may be beyond what a document's inputs may state.
  @Test func aPlanOfVeryLongTimesCanBeReadAgain() throws {
    let plan = try examplePlan().json.replacing("/prediction/iteration_seconds", with: .number(1e60))
      .replacing("/prediction/tokens_per_second_per_device", with: .number(1e-60))
      .replacing("/certificate/score_seconds", with: .number(1e60))
      .replacing("/certificate/gap", with: .number(1))
    #expect(try Plan(Field(plan, source: "plan")).prediction.iterationSeconds == 1e60)
  }

  private static func cluster(_ json: JSON) throws -> ClusterDescription {
    try ClusterDescription(Field(json, source: "cluster"), catalog: Catalog(root: nil), folder: ".")
  }
}
