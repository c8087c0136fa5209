import Foundation
import TestSupport
import Testing

@testable import Costing
@testable import Documents

@Suite("Fit to timed collectives")
struct CollectiveFitTests {
  /// A few sizes of published all-reduce tables of one node of A100 and of V100 (vTrain).
  private func measured() throws -> [MeasuredCollective] {
    try MeasuredCollective.file("\(Shipped.root)/Tests/CostingTests/Inputs/collectives.jsonl").lines.records()
  }

  private func timing(
    _ device: DeviceProfile, kind: MeasuredCollective.Kind = .allReduce, ranks: Int, nodes: Int = 1, bytes: Int,
    factor: Double = 1
  ) throws -> MeasuredCollective {
    func record(_ seconds: Double) throws -> MeasuredCollective {
      let text = """
        {"schema": "sextant.collective/1", "source": "invented", "device": "\(device.name)", "kind": "\(kind.rawValue)",
         "ranks": \(ranks), "nodes": \(nodes), "devices_per_node": 8, "bytes": \(bytes), "seconds": \(seconds)}
        """
      return try MeasuredCollective(parse(Array(text.utf8), source: "timing"))
    }
    return try record(factor * record(1).predictedSeconds(on: device))
  }

  @Test("The coefficients of a machine are found again from what it would have measured")
  func recovers() throws {
    let base = try Shipped.catalog.device("a100-sxm4-80gb")
    var truth = base
    truth.fabric.collectiveSeconds = 3e-5
    truth.fabric.scaleUpLatencySeconds = 5e-6
    truth.fabric.scaleUpEfficiency = 0.5
    truth.fabric.scaleOutEfficiency = 0.8
    truth.fabric.scaleOutLatencySeconds = 2e-5
    var timings: [MeasuredCollective] = []
    for exponent in stride(from: 10, through: 30, by: 2) {
      for kind in MeasuredCollective.Kind.allCases {
        timings.append(try timing(truth, kind: kind, ranks: 8, bytes: 1 << exponent))
        timings.append(try timing(truth, kind: kind, ranks: 2, bytes: 1 << exponent))
        timings.append(try timing(truth, kind: kind, ranks: 32, nodes: 4, bytes: 1 << exponent))
      }
    }
    let outcome = try CollectiveFit(timings, device: base).run()
    let fabric = outcome.profile.fabric
    for (found, right) in [
      (fabric.collectiveSeconds, 3e-5), (fabric.scaleUpLatencySeconds, 5e-6), (fabric.scaleUpEfficiency, 0.5),
      (fabric.scaleOutEfficiency, 0.8), (fabric.scaleOutLatencySeconds, 2e-5),
    ] { #expect(abs(found / right - 1) < 0.02, "\(found) for \(right)") }
    #expect(outcome.before.medianAbsolute > 0.1)
    #expect(outcome.after.medianAbsolute < 0.005)
    #expect(outcome.groups.map(\.name) == ["2 ranks on one node", "8 ranks on one node", "32 ranks on 4 nodes"])
  }

  @Test("Published tables of a node are explained, and the network keeps its values")
  func published() throws {
    for (device, bound) in [("a100-sxm4-80gb", 0.08), ("v100-sxm2-32gb", 0.04)] {
      // From figures that the tables have not told.
      var start = try Shipped.catalog.device(device)
      start.fabric.collectiveSeconds = 2e-5
      start.fabric.scaleUpLatencySeconds = 4e-6
      start.fabric.scaleUpEfficiency = 0.9
      for index in start.fabric.scaleUpGroups.indices { start.fabric.scaleUpGroups[index].efficiency *= 0.8 }
      let outcome = try CollectiveFit(measured(), device: start).run()
      #expect(outcome.before.medianAbsolute > 2 * bound)
      #expect(outcome.after.medianAbsolute < bound, "\(device)")
      #expect(outcome.profile.fabric.scaleOutEfficiency == start.fabric.scaleOutEfficiency)
      #expect(outcome.profile.provenance.contains { $0.group == CollectiveFit.provenanceGroup })
    }
  }

  @Test("Too few timings, and timings that contradict one another, are refused")
  func refusals() throws {
    let device = try Shipped.catalog.device("a100-sxm4-80gb")
    let few = try (0..<7).map { try timing(device, ranks: 8, bytes: 1 << (20 + $0)) }
    #expect(throws: CalibrationRefusal.tooFew("timed collectives", device: device.name, count: 7, leftOut: [])) {
      try CollectiveFit(few, device: device)
    }
    // The same collective, by turns as long as it should be, ten times as long and a tenth.
    let torn = try (0..<16).map { try timing(device, ranks: 8, bytes: 1 << 26, factor: [1, 10, 0.1][$0 % 3]) }
    #expect { try CollectiveFit(torn, device: device).run() } throws: { error in
      guard case CalibrationRefusal.contradictory(_, let farOff, 16, _)? = error as? CalibrationRefusal else {
        return false
      }
      return farOff > 8
    }
  }
}
