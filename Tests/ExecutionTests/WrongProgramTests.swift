import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Broken programs that are run all the same, past the check: running them shows it too.
@Suite struct WrongProgramTests {
  static func run(
    _ pattern: String, isTied: Bool = false, options: DryRun.Options = DryRun.Options(stepCount: 2),
    _ edit: (inout [RankProgram]) -> Bool
  ) throws -> [String] {
    let miniature = try Miniature(
      of: SmallPlans.plan(pattern, .gpt, isTied: isTied, deviceCount: 8), rankLimit: 64)
    var programs = miniature.shape.programs()
    #expect(edit(&programs), "nothing to break")
    do {
      return try DryRun(miniature, options: options, shape: miniature.shape, programs: programs).disagreements
    } catch {
      return ["\(error)"]
    }
  }

  static let pattern = "tensor=2,pipeline=2,data=2,micro_batch=1"

  @Test(arguments: [false, true])
  func aDroppedSendIsADeadlockWithItsCircle(usesThreads: Bool) throws {
    let found = try Self.run(Self.pattern, options: DryRun.Options(stepCount: 1, usesThreads: usesThreads)) {
      $0.drop(0, where: \.isSend)
    }
    // Messages between two ranks come in order: what the receiver takes first is of the second micro-batch.
    #expect(found.count == 1)
    #expect(found[0].contains("got what rank 0 sent for another operation"), "\(found)")
    let last = try Self.run(Self.pattern, options: DryRun.Options(stepCount: 1, usesThreads: usesThreads)) {
      $0.dropLast(4, where: \.isSend)
    }
    #expect(last[0].contains("deadlock: "), "\(last)")
    #expect(last[0].contains("waits for rank 4"), "\(last)")
    #expect(last[0].contains("at step"), "\(last)")
  }

  /// Each of two ranks first waits for the other.
  @Test(arguments: [false, true])
  func aCircleOfWaitsIsReported(usesThreads: Bool) throws {
    let first = PipelineStep(pass: .forward, microBatchIndex: 0)
    let found = try Self.run(Self.pattern, options: DryRun.Options(stepCount: 1, usesThreads: usesThreads)) {
      // The first forward pass of stage 0 waits for what only its own result can bring.
      guard let receive = $0[0].steps.firstIndex(where: \.isReceive),
        let begin = $0[0].steps.firstIndex(where: { $0.isCompute(.beginPass(first)) })
      else { return false }
      let moved = ProgramStep(stream: .pipeline, operation: $0[0].steps[receive].operation)
      $0[0].steps[receive] = ProgramStep(
        stream: .pipeline, operation: .compute(.endPass(.init(pass: .forward, microBatchIndex: 99))))
      $0[0].steps[begin] = ProgramStep(
        stream: .compute, operation: $0[0].steps[begin].operation, waitsFor: [])
      // In front of everything on the stream of transfers.
      $0[0].steps.insert(moved, at: 0)
      for index in 1..<$0[0].steps.count {
        let step = $0[0].steps[index]
        $0[0].steps[index] = ProgramStep(
          stream: step.stream, operation: step.operation, waitsFor: step.waitsFor.map { $0 + 1 })
      }
      return true
    }
    #expect(found[0].contains("deadlock: "), "\(found)")
    #expect(found[0].contains("waits for rank 4") && found[0].contains("waits for rank 0"), "\(found)")
  }

  @Test func aWrongOrderOfCollectivesIsAMismatch() throws {
    let found = try Self.run(Self.pattern) {
      $0.exchange(4, where: { $0.isCollective(.tokenTarget) || $0.isCollective(.tokenSum) })
    }
    #expect(found[0].contains("got what rank"), "\(found)")
  }

  @Test func aDoubledGradientShowsInTheNorm() throws {
    for optimizer in DryRun.Options.Optimizer.allCases {
      let found = try Self.run(Self.pattern, options: DryRun.Options(stepCount: 1, optimizer: optimizer)) {
        for rank in $0.indices {
          let isThere = $0.edit(rank, where: { $0.isCompute(.averageGradients(replicaCount: 2)) }) { _, _ in
            .operation(.compute(.averageGradients(replicaCount: 1)))
          }
          if !isThere { return false }
        }
        return true
      }
      #expect(found.contains { $0.contains("the gradient's norm differs") }, "\(optimizer): \(found)")
    }
  }

  /// Programs of ranges that are off by one: the numbers are right, the bytes are not.
  @Test func aStageThatIsOffByOneShowsInTheBytes() throws {
    let plan = try SmallPlans.plan("pipeline=2,data=4", .gpt, isTied: false, deviceCount: 8, layerCounts: [4, 4])
    let miniature = try Miniature(of: plan, rankLimit: 64)
    let own = miniature.shape
    let shifted = IterationShape(
      job: own.job, strategy: own.strategy, split: Split([5, 3]), schedule: own.schedule,
      paddedVocabularySize: own.paddedVocabularySize, routes: own.routes)
    let defect = own.defect(in: shifted.programs())
    #expect(defect.map { "\($0)" }?.contains("layer 4 is on stage 0") == true)
    let run = try DryRun(
      miniature, options: DryRun.Options(stepCount: 1), shape: shifted, programs: shifted.programs())
    #expect(run.disagreements.contains { $0.hasPrefix("weights of stage 0") }, "\(run.disagreements)")
  }

  @Test func aSumThatIsLeftOutEverywhereShowsInTheLoss() throws {
    let found = try Self.run(Self.pattern) { programs in
      programs.dropEverywhere {
        if case .collective(let it) = $0.operation { it.operand == .branch && it.kind == .allReduce } else { false }
      }
    }
    #expect(found.contains { $0.contains("the loss differs") }, "\(found)")
    #expect(found.contains { $0.contains("tensor traffic") }, "\(found)")
  }

  @Test func anotherRouteShowsInTheLevels() throws {
    let found = try Self.run("data=8") {
      $0.editEverywhere({ $0.isCollective("gradients") }) { $0.with(route: .direct) }
    }
    #expect(found.contains { $0.contains("data traffic across network") }, "\(found)")
  }

  @Test func aWiderElementShowsInTheBytes() throws {
    let found = try Self.run("data=8") {
      $0.editEverywhere({ $0.isCollective("gradients") }) { $0.with(elementByteCount: 8) }
    }
    #expect(found.contains { $0.contains("data traffic") }, "\(found)")
  }

  @Test func aTiedMatrixThatIsNotSummedShowsInTheParameters() throws {
    let found = try Self.run(Self.pattern, isTied: true) {
      $0.dropEverywhere { $0.isCollective("gradient of the tied matrix") }
    }
    #expect(found.contains { $0.contains("replicas hold different parameters") }, "\(found)")
    #expect(found.contains { $0.contains("embedding traffic") }, "\(found)")
  }
}
