import JSONText
import TestSupport
import Testing

@testable import Documents

/// Sequences that ranks divide: groups, degrees and rules.
@Suite struct ContextTests {
  /// Megatron-LM's groups of eight ranks, `tp-cp-ep-dp-pp`.
  @Test func groupsAreMegatrons() {
    let mesh: Mesh = [.tensor: 2, .context: 2, .data: 2]
    #expect(mesh.groups(along: .context).map(\.ranks) == [[0, 2], [1, 3], [4, 6], [5, 7]])
    #expect(mesh.groups(along: .data).map(\.ranks) == [[0, 4], [1, 5], [2, 6], [3, 7]])
    #expect(mesh.replicaGroups.map(\.ranks) == [[0, 2, 4, 6], [1, 3, 5, 7]])
    #expect(mesh.replicaGroup(containing: 5).ranks == [1, 3, 5, 7])
    #expect((0..<8).map(mesh.replica(ofRank:)) == [0, 0, 1, 1, 2, 2, 3, 3])
    #expect(mesh.replicaCount == 4)
    let staged: Mesh = [.tensor: 2, .context: 2, .data: 2, .pipeline: 2]
    #expect(staged.replicaGroups.map(\.ranks) == [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]])
  }

  /// States are divided and gradients summed among data × context ranks; the batch among data alone.
  @Test func statesAreDividedAmongBoth() throws {
    let strategy = Strategy(mesh: [.tensor: 2, .context: 2, .data: 2], zeroStage: .optimizer)
    #expect(strategy.sharding.optimizerDegree == 4)
    #expect(strategy.batchDegree == 2 && strategy.microBatchCount(globalBatch: 16) == 8)
    let read = try StrategyPattern(text: "tensor=2,context=2,data=2,zero_stage=1", source: "test").completed(
      deviceCount: 8, flashAttention: true, overlap: false)
    #expect(read.sharding.optimizerDegree == 4)
    #expect(
      try StrategyPattern(text: "context=4", source: "test").completed(
        deviceCount: 8, flashAttention: true, overlap: false
      ).dataDegree == 2)
  }

  @Test func whatIsExchangedFollowsFromTheKind() {
    func division(_ exchange: Strategy.ContextExchange, inner: Int = 1) -> Strategy.ContextDivision {
      Strategy(mesh: [.context: 8]).with(\.contextExchange, exchange).with(\.contextInnerDegree, inner).contextDivision
    }
    #expect(division(.ring) == .init(headDegree: 1, sequenceDegree: 8, gathers: false))
    #expect(division(.allGather) == .init(headDegree: 1, sequenceDegree: 8, gathers: true))
    #expect(division(.allToAll) == .init(headDegree: 8, sequenceDegree: 1, gathers: false))
    #expect(division(.allToAllRing, inner: 2) == .init(headDegree: 2, sequenceDegree: 4, gathers: false))
    let mesh: Mesh = [.tensor: 2, .context: 8]
    #expect(mesh.ranks.groups(mesh.headSpacing(division(.allToAllRing, inner: 2))).first?.ranks == [0, 2])
    #expect(mesh.ranks.groups(mesh.sequenceSpacing(division(.allToAllRing, inner: 2))).first?.ranks == [0, 4, 8, 12])
  }

  /// Each rule, with its sentence; what differs from the good strategy is stated.
  @Test(arguments: [
    ("", ""),
    ("context_exchange=all-gather", ""), ("context_exchange=all-to-all", ""),
    ("context_exchange=all-to-all+ring,context_inner=2,context=4,data=1", ""),
    ("flash_attention=false", "sequences that ranks divide need FlashAttention"),
    (
      "context=1,data=4,context_exchange=all-gather",
      "context_exchange and context_inner are of a context degree above 1"
    ),
    ("context_inner=2", "context_inner is of context_exchange all-to-all+ring"),
    (
      "context_exchange=all-to-all+ring,context_inner=2",
      "all-to-all+ring needs a context_inner above 1 that divides the context degree 2 and is less, not 2"
    ),
    (
      "context=4,data=1,context_exchange=all-to-all",
      "the 2 key-value heads of a rank do not divide among the 4 ranks that exchange sequences for heads"
    ),
    (
      "update=zeroth-order,schedule=forward-only,overlap_gradient_reduce=false",
      "zeroth-order training has no sequences that ranks divide"
    ),
  ])
  func rulesHaveASentenceEach(changes: String, sentence: String) throws {
    #expect(try violation(changes, length: 4096, window: nil) == sentence)
  }

  @Test func chunksAndWindowsAreChecked() throws {
    #expect(
      try violation("", length: 4098, window: nil)
        == "sequence length 4098 does not divide into twice the context degree 2")
    #expect(
      try violation("sequence_parallel=true", length: 4100, window: nil)
        == "sequence length 4100 does not divide into twice the context degree 2 times the tensor degree 2")
    #expect(try violation("sequence_parallel=true", length: 4104, window: nil) == "")
    let refusal = "keys and values cannot go round where attention is limited to a window"
    #expect(try violation("", length: 4096, window: 1024) == refusal)
    #expect(
      try violation("context_exchange=all-to-all+ring,context_inner=2,context=4,data=1", length: 4096, window: 1024)
        == refusal)
    #expect(try violation("context_exchange=all-gather", length: 4096, window: 1024) == "")
    #expect(try violation("context_exchange=all-to-all", length: 4096, window: 1024) == "")
    let sinks = "attention with sinks needs sequences exchanged for heads, context_exchange all-to-all"
    for exchange in ["ring", "all-gather"] {
      #expect(try violation("context_exchange=\(exchange)", length: 4096, window: nil, hasSinks: true) == sinks)
    }
    #expect(try violation("context_exchange=all-to-all", length: 4096, window: nil, hasSinks: true) == "")
    // A window as long as the sequence is none.
    #expect(try violation("", length: 1024, window: 1024) == "")
  }

  private func violation(_ changes: String, length: Int, window: Int?, hasSinks: Bool = false) throws -> String {
    var pattern = try StrategyPattern(
      text: "tensor=2,pipeline=1,data=2,context=2,flash_attention=true", source: "test")
    for change in changes.split(separator: ",") {
      let halves = change.split(separator: "=")
      let word = String(halves[1])
      pattern = pattern.stating(
        String(halves[0]),
        Int(word).map { .integer($0) } ?? (["true", "false"].contains(word) ? .boolean(word == "true") : .string(word)))
    }
    let form = ModelDescription.Form(norm: .rms, hasRotaryPositions: true, hasSinks: hasSinks)
    let job = try TrainingJob(
      model: ModelDescription(
        name: "small", family: .llama, layerCount: 4, hiddenSize: 512, headCount: 8, keyValueHeadCount: 4,
        feedForwardSize: 1024, vocabularySize: 1000, hasGatedFeedForward: true, hasTiedEmbeddings: false,
        form: form, details: ModelDescription.Details(attentionWindow: window)),
      sequenceLength: length, globalBatch: 8)
    let strategy = pattern.completed(deviceCount: 8, flashAttention: true, overlap: false)
    return strategy.violation(job: job, deviceCount: 8, hasFlashAttention: true).map { "\($0)" } ?? ""
  }
}
