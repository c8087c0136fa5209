import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Quantised gathers and exchanges among eight ranks on two nodes of four: what ranks end with, element by element.
@Suite struct QuantisedExchangeTests {
  /// All ranks of a shape, whose collectives are performed one at a time.
  struct Ranks {
    let shape: IterationShape
    let programs: [RankProgram]
    var states: [RankState]

    init(_ pattern: String, devicesPerNode: Int = 4, errorFeedback: ErrorFeedback? = nil) throws {
      let run = try RoutedRun(
        pattern, microBatches: 1, devicesPerNode: devicesPerNode, errorFeedback: errorFeedback, route: { _ in .ring })
      shape = run.shape
      programs = shape.programs()
      states = run.run.ranks.map(\.machine.state)
    }

    /// Performs every rank's first collective of a part in an exchange, if its programs have one.
    mutating func perform(_ exchange: Exchange, _ part: ModelPart?, _ hop: Exchange.Hop? = nil) {
      let operand = Operand.exchanged(exchange, part, hop)
      var sent: [[Float]] = [], collectives: [Collective] = []
      for (rank, program) in programs.enumerated() {
        guard
          let collective = program.steps.lazy.compactMap({ step -> Collective? in
            guard case .collective(let it) = step.operation, it.operand == operand else { return nil }
            return it
          }).first, let place = collective.group.firstIndex(of: rank)
        else { return }
        collectives.append(collective)
        sent.append(states[rank].load(operand, of: collective, chunk: collective.schedule.chunk(place)))
        #expect(sent[rank].count == collective.elementCount)
      }
      for (rank, it) in collectives.enumerated() {
        let place = it.group.firstIndex(of: rank) ?? 0, chunk = it.schedule.chunk(place)
        let received =
          switch it.kind {
          case .allToAll: it.group.flatMap { sent[$0][chunk] }
          case .allGather:
            it.group.enumerated().flatMap { sent[$1][it.schedule.chunk($0)] }
          default: (0..<it.elementCount).map { element in it.group.reduce(0) { $0 + sent[$1][element] } }
          }
        states[rank].store(received, operand, of: it, chunk: chunk)
      }
    }

    /// Reduces a layer's gradients, one of each rank, to the mean's shards: of every rank, beside its range.
    mutating func reducedMean(of gradients: [[Float]], layer: Int = 0) -> [(range: Range<Int>, values: [Float])] {
      let part = ModelPart.layer(layer)
      for rank in states.indices {
        states[rank].openGradient(of: part)
        let index = states[rank].index(of: part)
        states[rank].parts[index].gradient = gradients[rank]
        states[rank].parts[index].gradientShard = states[rank].parts[index].gradientShard.map { _ in 0 }
      }
      for reduction in shape.exchanges(at: .partBackward) {
        for hop in [nil, Exchange.Hop.inside, .across] { perform(reduction, part, hop) }
      }
      return states.indices.map { rank in
        states[rank].averageGradients(replicaCount: states.count)
        let index = states[rank].index(of: part)
        return (states[rank].parts[index].ranges.gradients, states[rank].parts[index].gradientShard)
      }
    }

    var layerCount: Int { shape.parameterCount(of: .layer(0)) }
  }

  static let gradients = "data=8,zero_stage=3,quantise_gradients=true"

  private func random(_ count: Int, seed: UInt64) -> [[Float]] {
    var random = SeededGenerator(seed: seed)
    // Of the sizes that gradients have: some large, most small.
    return (0..<8).map { _ in
      (0..<count).map { _ in
        Float.random(in: -1...1, using: &random) * Float.random(in: 0...1, using: &random)
      }
    }
  }

  /// |ĝ − ḡ| ≤ (Σ Δ₁ of the ranks + Σ Δ₂ of the nodes) / N, element by element; a sum, or a mean of nodes, is far outside.
  @Test func exchangedGradientsAreWithinTheirBounds() throws {
    var ranks = try Ranks(Self.gradients)
    let n = ranks.layerCount, y = 4, x = 2, length = n / 8
    #expect(n % 16 == 0)
    let gradients = random(n, seed: 11)
    // What each rank quantises for place p of its node: partitions p and 4 + p.
    func block(_ rank: Int, _ place: Int) -> [Float] {
      let gradient = gradients[rank]
      return (0..<x).flatMap { (node: Int) -> ArraySlice<Float> in
        let first = (node * y + place) * length
        return gradient[first..<first + length]
      }
    }
    let found = ranks.reducedMean(of: gradients)
    var largestError: Float = 0
    for rank in 0..<8 {
      let (node, place) = (rank / y, rank % y)
      #expect(found[rank].range == rank * length..<(rank + 1) * length)
      // What each node sums for this rank, and its steps.
      var nodeSteps = [Float](repeating: 0, count: length)
      for other in 0..<x {
        var sum = [Float](repeating: 0, count: x * length)
        for member in 0..<y {
          let seen = Quantisation.gradients.rounded(block(other * y + member, place)[...])
          for index in sum.indices { sum[index] += seen[index] }
        }
        let sent = Array(sum[node * length..<(node + 1) * length])
        let steps = QuantisationTests.steps(sent, .gradients)
        for index in 0..<length { nodeSteps[index] += steps[index / 256] }
      }
      var rankSteps = [Float](repeating: 0, count: (x * length + 255) / 256)
      for other in 0..<8 {
        let steps = QuantisationTests.steps(block(other, place), .gradients)
        for index in steps.indices { rankSteps[index] += steps[index] }
      }
      for index in 0..<length {
        let element = rank * length + index
        let mean = gradients.reduce(0) { $0 + Double($1[element]) } / 8
        let error = abs(found[rank].values[index] - Float(mean))
        let bound = (rankSteps[(node * length + index) / 256] + nodeSteps[index]) / 8
        #expect(error <= bound * (1 + 0x1p-18))
        largestError = max(largestError, error)
      }
    }
    #expect(largestError > 0.01, "numbers are really quantised")
  }

  /// Integers −8…7 with a −8 in every group, the same on all ranks: both hops are exact, and every rank ends with its own
  /// partition, whatever lies next to it on the way.
  @Test func gradientsOnTheGridAreExact() throws {
    var ranks = try Ranks(Self.gradients)
    var random = SeededGenerator(seed: 3)
    var gradient = (0..<ranks.layerCount).map { _ in Float(Int.random(in: -8...7, using: &random)) }
    for element in stride(from: 0, to: gradient.count, by: 16) { gradient[element] = -8 }
    let found = ranks.reducedMean(of: [[Float]](repeating: gradient, count: 8))
    for (range, values) in found { #expect(values == Array(gradient[range])) }
    #expect(found.flatMap(\.range).count == gradient.count)
  }

  /// One node: X is 1, nothing is quantised, and every bit is that of the exact plan.
  @Test func insideANodeNothingIsQuantised() throws {
    let pattern = "data=8,zero_stage=3,quantise_weights=true,quantise_gradients=true"
    func parameters(devicesPerNode: Int, isExact: Bool = false) throws -> [ModelPart: [Float]] {
      var run = try RoutedRun(pattern, microBatches: 2, devicesPerNode: devicesPerNode, isExact: isExact) { _ in .ring }
      return try run.parameters()
    }
    let exact = try parameters(devicesPerNode: 4, isExact: true)
    let inside = try parameters(devicesPerNode: 8), across = try parameters(devicesPerNode: 4)
    #expect(inside == exact)
    #expect(across != exact)
  }

  /// A part that twice the ranks do not divide is reduced as it is.
  @Test func whatDoesNotDivideFallsBack() throws {
    let ranks = try Ranks(Self.gradients)
    let count = ranks.shape.parameterCount(of: .head)
    let reduction = try #require(ranks.shape.exchanges(at: .partBackward).first)
    let group = reduction.group(containing: 0, sharding: ranks.shape.sharding, in: ranks.shape.mesh)
    for elements in count..<count + 16 {
      #expect((reduction.hops(of: elements, in: group, devicesPerNode: 4) != nil) == (elements % 16 == 0))
    }
  }

  // MARK: Weights

  /// Gathered for a pass: every rank has the same bits, off by a step at most, and neither shard nor master has changed.
  @Test func gatheredWeightsAreTheSameEverywhere() throws {
    var ranks = try Ranks("data=8,zero_stage=3,quantise_weights=true")
    let before = ranks.states.map { $0.parts.map { ($0.weightShard, $0.optimizer.masters) } }
    let part = ModelPart.layer(0)
    ranks.perform(try #require(ranks.shape.exchanges(at: .firstUse).first), part)
    let index = ranks.states[0].index(of: part)
    let weights = ranks.states.map { $0.parts[index].weights }
    #expect(weights.allSatisfy { $0.map(\.bitPattern) == weights[0].map(\.bitPattern) })
    #expect(weights[0].count == ranks.layerCount)
    var isChanged = false
    for (rank, state) in ranks.states.enumerated() {
      let shard = before[rank][index].0, seen = Array(weights[0][state.parts[index].ranges.weights])
      let steps = QuantisationTests.steps(shard, .weights)
      for (element, (weight, other)) in zip(shard, seen).enumerated() {
        #expect(abs(weight - other) <= steps[element / 2048] * (1 + 0x1p-16))
      }
      isChanged = isChanged || shard != seen
      #expect(state.parts[index].weightShard == shard)
      #expect(state.parts[index].optimizer.masters == before[rank][index].1)
    }
    #expect(isChanged)
  }

  /// Gathered once at the step: masters are those of the exact plan after the first, weights are not.
  @Test func mastersAreUpdatedAsIfNothingWereQuantised() throws {
    func run(_ pattern: String) throws -> RoutedRun {
      var run = try RoutedRun(pattern, microBatches: 1) { _ in .ring }
      _ = try run.parameters(steps: 1)
      return run
    }
    let exact = try run("data=8,zero_stage=2"), quantised = try run("data=8,zero_stage=2,quantise_weights=true")
    for (rank, other) in zip(exact.run.ranks, quantised.run.ranks) {
      for (part, seen) in zip(rank.machine.state.parts, other.machine.state.parts) {
        #expect(part.optimizer.masters == seen.optimizer.masters)
        #expect(part.weights != seen.weights)
        #expect(
          seen.weights == quantised.run.ranks[0].machine.state.parts[other.machine.state.index(of: seen.part)].weights)
      }
    }
  }

  // MARK: Error feedback

  /// A constant gradient with β = 0: what is left out is made up for, so that the mean over time comes to the exact one,
  /// down to what e loses by being kept as INT8; without feedback it stays away from it.
  @Test func errorFeedbackMakesTheTimeAverageExact() throws {
    let gradients = random(try Ranks(Self.gradients).layerCount, seed: 23)
    func largestError(_ feedback: ErrorFeedback?, times: Int) throws -> Float {
      var ranks = try Ranks(Self.gradients, errorFeedback: feedback)
      var sums = [[Float]](repeating: [], count: 8), largest: Float = 0
      for time in 0..<times {
        for (rank, found) in ranks.reducedMean(of: gradients).enumerated() {
          sums[rank] = time == 0 ? found.values : zip(sums[rank], found.values).map { $0 + $1 }
          guard time == times - 1 else { continue }
          for (element, sum) in zip(found.range, sums[rank]) {
            let mean = gradients.reduce(0) { $0 + Double($1[element]) } / 8
            largest = max(largest, abs(sum / Float(times) - Float(mean)))
          }
        }
      }
      return largest
    }
    let without = try largestError(nil, times: 64)
    let once = try largestError(ErrorFeedback(decay: 0), times: 1)
    let sixteen = try largestError(ErrorFeedback(decay: 0), times: 16)
    let often = try largestError(ErrorFeedback(decay: 0), times: 64)
    #expect(try once == largestError(nil, times: 1), "the first time nothing is owed")
    #expect(sixteen < without / 8)
    #expect(often < without / 24)
    let forgetful = try largestError(ErrorFeedback(decay: 0, resetInterval: 1), times: 8)
    #expect(try forgetful == largestError(nil, times: 8), "what is owed is forgotten")
  }

  // MARK: The verdict

  static let patterns = [
    "data=8,zero_stage=3,quantise_weights=true", gradients,
    "data=8,zero_stage=3,secondary_shards=4,quantise_weights=true,quantise_gradients=true",
    "data=8,zero_stage=2,quantise_weights=true,quantise_gradients=true",
    "data=8,zero_stage=1,quantise_weights=true,quantise_gradients=true",
    "data=8,weight_shards=2,gradient_shards=4,optimizer_shards=8,quantise_weights=true,quantise_gradients=true",
    "data=8,weight_shards=2,gradient_shards=8,optimizer_shards=8,quantise_gradients=true",
  ]

  /// Bytes are exact, numbers as far off as codes are; a loss of weights that are not quantised is exact, too.
  @Test(arguments: patterns, [DryRun.Options.Optimizer.adam, .sgd])
  func quantisedPlansHold(pattern: String, optimizer: DryRun.Options.Optimizer) throws {
    for isTied in [true, false] {
      let miniature = try RoutedRun.miniature(
        pattern, microBatches: 2, family: isTied ? .gpt : .llama, isTied: isTied, layers: 4)
      let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2, optimizer: optimizer))
      #expect(run.disagreements.isEmpty)
      #expect(run.tolerances.firstScalars > 0.01, "something is quantised")
      // As exact as any plan's, where forward passes know nothing of it.
      if !pattern.contains("zero_stage=3") { #expect(run.steps[0].loss.relativeError < 1e-5) }
    }
  }

  /// The sum of a node's ranks in place of the mean: twice too large, far beyond any code.
  @Test func aMeanOfNodesShowsInTheNorm() throws {
    let miniature = try RoutedRun.miniature(Self.gradients, microBatches: 2)
    var programs = miniature.shape.programs()
    for rank in programs.indices {
      let isThere = programs.edit(rank, where: { $0.isCompute(.averageGradients(replicaCount: 8)) }) { _, _ in
        .operation(.compute(.averageGradients(replicaCount: 4)))
      }
      #expect(isThere)
    }
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 1), shape: miniature.shape, programs: programs)
    #expect(run.disagreements.contains { $0.contains("the gradient's norm differs") })
  }

  /// Ranks of a tensor group quantise the parameters that all of them hold with steps of their own.
  @Test(arguments: ["quantise_weights", "quantise_gradients"])
  func whatWouldDriftApartIsRefused(what: String) throws {
    let miniature = try RoutedRun.miniature("tensor=2,data=8,zero_stage=3,\(what)=true", microBatches: 1)
    #expect(miniature.unsupported()?.contains("drift apart") == true)
    #expect(throws: DryRun.Failure.self) { try DryRun(miniature) }
  }

  @Test func errorFeedbackIsAnOptionOfTheRun() throws {
    let miniature = try RoutedRun.miniature(Self.gradients, microBatches: 2)
    func norms(_ feedback: ErrorFeedback?) throws -> [Double] {
      let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2, errorFeedback: feedback))
      #expect(run.disagreements.isEmpty)
      return run.steps.map(\.gradientNorm.executed)
    }
    let without = try norms(nil), with = try norms(ErrorFeedback())
    #expect(without != with)
  }
}
