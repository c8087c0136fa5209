import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Sequences that ranks divide, on numbers: attention itself, and whole miniatures.
@Suite struct ContextTests {
  static let kinds = [
    "context=2", "context=2,context_exchange=all-gather", "context=2,context_exchange=all-to-all",
    "context=4", "context=4,context_exchange=all-gather", "context=4,context_exchange=all-to-all",
    "context=4,context_exchange=all-to-all+ring,context_inner=2",
  ]

  /// Each with one of the other things that change what is computed, sent or kept.
  static let layouts: [String] = kinds.flatMap { kind -> [String] in
    let context = kind.contains("=4") ? 4 : 2
    let rest = 8 / context
    return [
      "data=\(rest),zero_stage=1", "data=\(rest),zero_stage=3,recompute=full",
      "pipeline=2,data=\(rest / 2),virtual_stages=2", "pipeline=2,data=\(rest / 2),schedule=zero-bubble",
      "tensor=2,data=\(rest / 2),sequence_parallel=true,recompute=full,zero_stage=1",
      "tensor=2,data=\(rest / 2),zero_stage=2",
    ].map { "\(kind),\($0),micro_batch=2" }
  }.filter { !$0.contains("context=4,context_exchange=all-to-all,tensor=2") }

  /// Losses, norms and parameters are those of one rank, bytes sent and held those of the cost model; with dropout and
  /// learned positions, which follow the chunks, and without.
  @Test(arguments: layouts)
  func wholeMiniaturesHold(pattern: String) throws {
    for family in [ModelDescription.Family.gpt, .llama] {
      let plan = try SmallPlans.plan(pattern, family, isTied: family == .gpt, deviceCount: 8)
      let run = try DryRun(Miniature(of: plan, rankLimit: 8), options: DryRun.Options(stepCount: 2))
      #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    }
  }

  /// Of more ranks than may run, those that divide a sequence stay as many as they are as long as that is possible.
  @Test func miniaturesShrinkReplicasFirst() throws {
    let plan = try SmallPlans.plan("context=4,data=2,zero_stage=1", .llama, isTied: false, deviceCount: 8)
    let same = try Miniature(of: plan, rankLimit: 8)
    #expect(same.strategy.contextDegree == 4 && same.strategy.dataDegree == 2)
    let hybrid = try SmallPlans.plan(
      "context=8,context_exchange=all-to-all+ring,context_inner=4,data=1,tensor=1", .llama, isTied: false,
      deviceCount: 8)
    let small = try Miniature(of: hybrid, rankLimit: 4)
    #expect(small.strategy.contextDegree == 4 && small.strategy.contextInnerDegree == 2)
    #expect(try DryRun(small, options: DryRun.Options(stepCount: 1)).disagreements.isEmpty)
  }

  // MARK: Attention alone

  private static let length = 16, headSize = 4, heads = 4, keyHeads = 2

  private static func matrix(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
    var random = SeededGenerator(seed: seed)
    return Matrix(
      rowCount: rows, columnCount: columns,
      elements: (0..<rows * columns).map { _ in Float.random(in: -1...1, using: &random) })
  }

  private static func core(
    _ isCausal: Bool, queries: [Int]? = nil, keys: [Int]? = nil, firstHead: Int = 0, heads: Int = heads,
    keyHeads: Int = keyHeads
  ) -> AttentionCore {
    AttentionCore(
      sequences: [3, 5], sequenceLength: length, headCount: heads, keyValueHeadCount: keyHeads, headSize: headSize,
      firstHead: firstHead, isCausal: isCausal, dropout: Dropout(seed: 1, step: 0, layer: 2, site: .attentionCore),
      arithmetic: .fp32, queryPositions: queries, keyPositions: keys)
  }

  private func rows(_ matrix: Matrix, _ positions: [Int]) -> Matrix {
    Matrix(concatenating: positions.map { matrix.rows(2 * $0..<2 * $0 + 2) })
  }

  private func columns(_ matrix: Matrix, _ range: Range<Int>) -> Matrix {
    Matrix(
      rowCount: matrix.rowCount, columnCount: range.count,
      elements: (0..<matrix.rowCount).flatMap { row in range.map { matrix[row, $0] } })
  }

  private struct Whole {
    let query = matrix(2 * length, heads * headSize, seed: 1), key = matrix(2 * length, keyHeads * headSize, seed: 2)
    let value = matrix(2 * length, keyHeads * headSize, seed: 3)
    let gradient = matrix(2 * length, heads * headSize, seed: 4)
  }

  /// With the keys in the order of the sequence each rank's rows are those of one rank, bit for bit.
  @Test(arguments: [true, false], [2, 4])
  func gatheredKeysGiveTheSameBits(isCausal: Bool, degree: Int) {
    let all = Whole(), division = Strategy.ContextDivision(headDegree: 1, sequenceDegree: degree, gathers: true)
    let whole = Self.core(isCausal).fusedContext(query: all.query, key: all.key, value: all.value)
    let wholeBackward = Self.core(isCausal).fusedBackward(
      contextGradient: all.gradient, query: all.query, key: all.key, value: all.value, context: whole.context,
      logSumExp: whole.logSumExp)
    var keyGradient = Matrix(rowCount: all.key.rowCount, columnCount: all.key.columnCount)
    for rank in 0..<degree {
      let positions = ContextPlace(division, index: rank, sequenceLength: Self.length).positions
      let core = Self.core(isCausal, queries: positions)
      let own = core.fusedContext(query: rows(all.query, positions), key: all.key, value: all.value)
      #expect(own.context == rows(whole.context, positions))
      #expect(own.logSumExp == rows(whole.logSumExp, positions))
      let backward = core.fusedBackward(
        contextGradient: rows(all.gradient, positions), query: rows(all.query, positions), key: all.key,
        value: all.value, context: own.context, logSumExp: own.logSumExp)
      #expect(backward.query == rows(wholeBackward.query, positions))
      keyGradient += backward.key
    }
    #expect(difference(keyGradient, wholeBackward.key) < 1e-6)
  }

  /// Each rank has some heads of all rows, in their order: bit for bit as one rank has them.
  @Test(arguments: [true, false])
  func exchangedHeadsGiveTheSameBits(isCausal: Bool) {
    let all = Whole(), width = Self.headSize
    let whole = Self.core(isCausal).fusedContext(query: all.query, key: all.key, value: all.value)
    let gradients = Self.core(isCausal).fusedBackward(
      contextGradient: all.gradient, query: all.query, key: all.key, value: all.value, context: whole.context,
      logSumExp: whole.logSumExp)
    for rank in 0..<2 {
      let core = Self.core(isCausal, firstHead: 2 * rank, heads: 2, keyHeads: 1)
      let queries = 2 * rank * width..<2 * (rank + 1) * width, keys = rank * width..<(rank + 1) * width
      let query = columns(all.query, queries), key = columns(all.key, keys), value = columns(all.value, keys)
      let own = core.fusedContext(query: query, key: key, value: value)
      #expect(own.context == columns(whole.context, queries))
      let backward = core.fusedBackward(
        contextGradient: columns(all.gradient, queries), query: query, key: key, value: value, context: own.context,
        logSumExp: own.logSumExp)
      #expect(backward.query == columns(gradients.query, queries))
      #expect(backward.key == columns(gradients.key, keys) && backward.value == columns(gradients.value, keys))
    }
  }

  /// Keys that come one after the other give the same within rounding.
  @Test(arguments: [true, false], [2, 4])
  func aRingIsTheSameWithinRounding(isCausal: Bool, degree: Int) {
    let all = Whole(), division = Strategy.ContextDivision(headDegree: 1, sequenceDegree: degree, gathers: false)
    let whole = Self.core(isCausal).fusedContext(query: all.query, key: all.key, value: all.value)
    for rank in 0..<degree {
      let positions = ContextPlace(division, index: rank, sequenceLength: Self.length).positions
      var sum: (context: Matrix, logSumExp: Matrix)?
      for step in 0..<degree {
        let keys = ContextPlace(division, index: (rank - step + degree) % degree, sequenceLength: Self.length).positions
        let next = Self.core(isCausal, queries: positions, keys: keys).fusedContext(
          query: rows(all.query, positions), key: rows(all.key, keys), value: rows(all.value, keys))
        if var known = sum {
          AttentionCore.combine(&known, with: next, headSize: Self.headSize)
          sum = known
        } else {
          sum = next
        }
      }
      #expect(sum.map { difference($0.context, rows(whole.context, positions)) } ?? 1 < 1e-6)
      #expect(sum.map { difference($0.logSumExp, rows(whole.logSumExp, positions)) } ?? 1 < 1e-6)
    }
  }

  /// The largest difference, over the largest number.
  private func difference(_ left: Matrix, _ right: Matrix) -> Float {
    let largest = right.elements.map(abs).max() ?? 0
    return (zip(left.elements, right.elements).map { abs($0 - $1) }.max() ?? 0) / largest
  }

  /// Every rank has as many pairs of a causal attention as any other, and all have all positions between them.
  @Test(arguments: [2, 4, 8])
  func chunksBalanceCausalAttention(degree: Int) {
    let division = Strategy.ContextDivision(headDegree: 1, sequenceDegree: degree, gathers: false)
    let places = (0..<degree).map { ContextPlace(division, index: $0, sequenceLength: 64).positions }
    #expect(places.joined().sorted() == Array(0..<64))
    #expect(Set(places.map { $0.reduce(0) { $0 + $1 + 1 } }).count == 1)
  }
}
