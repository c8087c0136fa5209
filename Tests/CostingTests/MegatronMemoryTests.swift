import Documents
import TestSupport
import Testing

@testable import Costing

/// Peaks of allocated memory that NVIDIA records in Megatron-LM's functional tests (commit d98e8a64), on its last rank.
/// Nothing is fitted to them: parameters, optimizer shards, activations in flight and the logits are counted.
///
/// Small models miss a constant: cuBLAS and Transformer Engine workspaces and the like of 70 to 150 MB, which are 5 %
/// of them and nothing of a large one. Megatron-LM's own estimate is +7.8 % and −0.8 % off the two 7B cases on H100.
@Suite struct MegatronMemoryTests {
  static let runs: [MeasuredRun] =
    (try? MeasuredRun.file("\(Shipped.root)/Tests/CostingTests/Inputs/megatron-memory.jsonl").lines.records()) ?? []

  private func error(_ run: MeasuredRun) throws -> Double {
    let measured = try #require(run.measured.peakBytes)
    return Double(try RunWorkload(run, catalog: Shipped.catalog).estimate().reportedPeakBytes) / Double(measured) - 1
  }

  private func isLarge(_ run: MeasuredRun) throws -> Bool { try run.job.get().model.hiddenSize >= 2048 }

  @Test func largeModelsAreCountedWithinFourPercent() throws {
    let large = try Self.runs.filter(isLarge)
    #expect(large.count == 6)
    for run in large {
      let error = try error(run)
      #expect(abs(error) < 0.04, "\(run.id): \(error)")
    }
  }

  @Test func smallModelsMissAConstantOnly() throws {
    let small = try Self.runs.filter { try !isLarge($0) }
    #expect(small.count >= 8)
    for run in small {
      let error = try error(run), measured = Double(try #require(run.measured.peakBytes))
      #expect(error < 0.01 && error * measured > -160e6, "\(run.id): \(error)")
    }
  }

  /// What the allocator has taken is more than what is allocated, and a stage in the middle is not the last.
  @Test func theReportedPeakIsTheAllocatedBytesOfTheLastStage() throws {
    let run = try #require(Self.runs.first { $0.strategyHasPipeline })
    let estimate = try RunWorkload(run, catalog: Shipped.catalog).estimate()
    let last = try #require(estimate.prediction.stageMemory.last)
    #expect(estimate.reportedPeakBytes == last.allocatedBytes)
    #expect(last.allocatedBytes == last.peakBytes - last.reservedBytes - last.fragmentationBytes)
    #expect(last.allocatedBytes < last.peakBytes)
  }
}

extension MeasuredRun {
  fileprivate var strategyHasPipeline: Bool { ((try? strategy.get())?.pipelineDegree ?? 1) > 1 }
}
