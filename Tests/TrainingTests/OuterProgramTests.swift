import Testing
import Training

@testable import Documents

/// Programs of workers with outer steps: what a rank does in a round, in which order, and what waits for what.
@Suite struct OuterProgramTests {
  static func shape(
    mesh: Mesh = [.worker: 3], step: OuterStep = OuterStep(period: 2, staleness: 1), zero: Strategy.ZeroStage = .none,
    outer: OuterOptimizer = .usual
  ) throws -> IterationShape {
    var strategy = Strategy(mesh: mesh, zeroStage: zero)
    strategy.update = .outer
    strategy.outer = step
    var job = try TrainingJob(
      model: ModelDescription(
        name: "small", family: .gpt, layerCount: 2, hiddenSize: 16, headCount: 4, feedForwardSize: 24,
        vocabularySize: 16, hasGatedFeedForward: false, hasTiedEmbeddings: false, positionCount: 8),
      sequenceLength: 8, globalBatch: strategy.batchDegree)
    job.outer = outer
    #expect(strategy.violation(job: job, deviceCount: mesh.worldSize, hasFlashAttention: true) == nil)
    let p = strategy.pipelineDegree
    return try IterationShape(
      job: job, strategy: strategy, split: Split([Int](repeating: 2 / p, count: p)),
      schedule: PipelineSchedule(
        strategy.schedule, stageCount: p, microBatchCount: strategy.microBatchCount(globalBatch: job.globalBatch)),
      paddedVocabularySize: 16)
  }

  /// A program in few words.
  static func words(_ shape: IterationShape, _ stretch: Stretch = .usual, rank: Int = 0) -> String {
    shape.programs(ofRanks: [rank], in: .parts, stretch)[0].steps.compactMap { step -> String? in
      switch step.operation {
      case .collective(let it):
        switch it.operand {
        case .exchanged(let exchange, _, let hop):
          switch exchange.content {
          case .progress:
            "\(step.stream == .outer ? "beside:" : "")\(it.kind.rawValue)\(hop == nil ? "" : "(\(it.elementByteCount))")"
          case .anchorStep: "length"
          case .updatedWeights: "gather"
          case .gradient: "reduce"
          default: nil
          }
        default: nil
        }
      case .compute(.pass(.embedding, let pass)): pass.pass == .forward ? "train" : nil
      case .compute(.updateParameters): "update"
      case .compute(.takeProgress): "take"
      case .compute(.returnToAnchor): "return"
      case .compute(.outerStep(let count)): "step(\(count))"
      default: nil
      }
    }.joined(separator: " ")
  }

  @Test func lateRoundsHaveTheLastOnesSumInFlight() throws {
    let shape = try Self.shape()
    #expect(shape.stretches(count: 3) == [.opening, .usual, .usual, .closing])
    #expect(Self.words(shape, .opening) == "train update train update take return")
    #expect(Self.words(shape) == "beside:all-reduce train update train update take step(3)")
    #expect(Self.words(shape, .closing) == "beside:all-reduce step(3)")
  }

  @Test func roundsOnTimeWaitForTheirOwnSum() throws {
    let shape = try Self.shape(step: OuterStep(period: 3))
    #expect(shape.stretches(count: 3) == [.usual, .usual, .usual])
    #expect(Self.words(shape) == "train update train update train update take beside:all-reduce step(3)")
  }

  /// Weights are gathered after every iteration, and after the last one of a round once: after the outer step.
  @Test func nothingIsGatheredTwice() throws {
    let shape = try Self.shape(mesh: [.data: 2, .worker: 3], zero: .optimizer)
    #expect(
      Self.words(shape)
        == "beside:all-reduce train reduce update gather train reduce update take step(3) gather")
    #expect(Self.words(shape, .opening).hasSuffix("take return gather"))
    #expect(Self.words(shape, .closing) == "beside:all-reduce step(3) gather")
  }

  @Test func roundedSumsTakeTwoHops() throws {
    let bf16 = try Self.shape(step: OuterStep(period: 1, staleness: 1, format: .bf16))
    #expect(Self.words(bf16) == "beside:all-to-all(2) beside:all-gather(2) train update take step(3)")
    let int8 = try Self.shape(step: OuterStep(period: 1, format: .int8))
    #expect(Self.words(int8) == "train update take beside:all-to-all(4) beside:all-gather(4) step(3)")
  }

  @Test func gapAwareStepsSumALengthWithinTheWorker() throws {
    let shape = try Self.shape(mesh: [.tensor: 2, .worker: 2], outer: OuterOptimizer(penalty: .gapAware(1)))
    #expect(Self.words(shape) == "beside:all-reduce train update train update take length step(2)")
    for rank in 0..<4 {
      for step in shape.programs(ofRanks: [rank], in: .parts)[0].steps {
        guard case .collective(let it) = step.operation, case .exchanged(let exchange, _, _) = it.operand,
          [.anchorStep, .scalars].contains(exchange.content)
        else { continue }
        #expect(it.group == (rank < 2 ? [0, 1] : [2, 3]))
        #expect(it.traffic == (exchange.content == .scalars ? .control : .outer))
      }
    }
  }

  @Test func aSingleWorkerSendsNothing() throws {
    let shape = try Self.shape(mesh: [.data: 2, .worker: 1])
    #expect(Self.words(shape) == "train reduce update train reduce update take step(1)")
  }

  /// Ranks with the same place in every worker, of the elements whose optimizer states they keep.
  @Test func progressIsSummedAmongRanksOfOnePlace() throws {
    for zero in [Strategy.ZeroStage.none, .optimizer, .gradients, .weights] {
      let shape = try Self.shape(mesh: [.tensor: 2, .data: 2, .worker: 2], zero: zero)
      var elements = 0
      for program in shape.programs() {
        let found = program.steps.compactMap { step -> Collective? in
          guard case .collective(let it) = step.operation, it.traffic == .outer else { return nil }
          return it
        }
        #expect(found.count == 1)
        #expect(found[0].group == [program.rank % 4, program.rank % 4 + 4])
        #expect(found[0].elementByteCount == 4)
        if program.rank < 4, program.rank % 2 == 0 { elements += found[0].elementCount }
      }
      #expect(elements == shape.parameters(ofStage: 0).count * (zero == .none ? 2 : 1))
    }
  }

  /// Per element two codes of a byte, one each way, and steps.
  @Test func bytesOfFormatsAreTheirs() throws {
    for (format, count) in [(OuterStep.Format.fp32, 4), (.bf16, 2), (.int8, 1)] {
      let shape = try Self.shape(step: OuterStep(period: 1, format: format))
      let elements = shape.parameters(ofStage: 0).count
      let sent = shape.programs()[0].steps.reduce(0) { sum, step in
        guard case .collective(let it) = step.operation, it.traffic == .outer else { return sum }
        return it.schedule.transfers.filter { $0.fromRank == 0 }.reduce(sum) {
          $0 + $1.elementRange.count * it.elementByteCount
        }
      }
      // 2(W − 1)/W of all, and chunks that differ by an element; steps of 2,048 codes.
      let whole = Double(2 * 2 * elements * count) / 3
      #expect(abs(Double(sent) - whole) <= (format == .int8 ? 64 : 16), "\(format): \(sent), \(whole)")
    }
  }

  @Test func iterationsOfOtherUpdatesAreRoundsOfOne() throws {
    let shape = try Self.shape(mesh: [.data: 2, .worker: 1], step: OuterStep())
    var strategy = shape.strategy
    strategy.update = .firstOrder
    let plain = IterationShape(
      job: shape.job, strategy: strategy, split: shape.split, schedule: shape.schedule, paddedVocabularySize: 16)
    #expect(plain.stretches(count: 3) == [.usual, .usual, .usual] && plain.iterationCount() == 1)
    #expect(plain.count(of: .step, in: .usual) == 1 && plain.count(of: .outer, in: .usual) == 0)
  }

  @Test func lawfulProgramsPass() throws {
    for zero in [Strategy.ZeroStage.none, .optimizer, .weights] {
      for step in [
        OuterStep(), OuterStep(period: 3, staleness: 1), OuterStep(period: 2, format: .int8),
        OuterStep(period: 2, staleness: 1, format: .bf16),
      ] {
        for outer in [OuterOptimizer.usual, OuterOptimizer(penalty: .gapAware(1))] {
          let shape = try Self.shape(mesh: [.data: 2, .worker: 2], step: step, zero: zero, outer: outer)
          for stretch in Stretch.allCases where stretch == .usual || step.staleness > 0 {
            #expect(shape.defect(in: shape.programs(stretch), stretch) == nil, "\(zero), \(step), \(stretch)")
          }
        }
      }
    }
  }
}
