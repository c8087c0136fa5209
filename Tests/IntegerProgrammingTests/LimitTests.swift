import Foundation
import IntegerProgramming
import TestSupport
import Testing

@Suite("Searches that are stopped, repeated, nested and parallel")
struct LimitTests {
  @Test("With few nodes the status is honest and the bound holds", arguments: [0, 1, 2, 5, 20])
  func nodes(count: Int) throws {
    for seed in UInt64(1)...6 {
      let program = try hardProgram(seed: seed, itemCount: 25)
      let best = try #require(try program.solve(limits: .init(cuts: .all)).objective)
      let solution = try program.solve(limits: .init(nodeCount: count))
      #expect(solution.nodeCount == count)
      #expect(solution.bestBound <= best + 1e-6)
      if count > 0 { #expect(solution.bestBound > -.infinity) }
      if let objective = solution.objective {
        #expect(solution.status == .feasible(stoppedBy: .nodeCount))
        #expect(objective >= best)
        #expect(solution.relativeGap > 0)
      } else {
        #expect(solution.status == .undecided(stoppedBy: .nodeCount))
        #expect(solution.relativeGap == .infinity)
      }
    }
  }

  @Test("Cancellation before and during the search")
  func cancellation() throws {
    let program = try hardProgram(itemCount: 60)
    #expect(try program.solve(isCancelled: { true }).status == .undecided(stoppedBy: .cancellation))
    var asked = 0
    let solution = try program.solve {
      asked += 1
      return asked > 200
    }
    #expect(asked == 201)
    #expect(solution.nodeCount > 1)
    #expect(
      [.feasible(stoppedBy: .cancellation), .undecided(stoppedBy: .cancellation)].contains(solution.status))
    #expect(solution.bestBound > -.infinity)
  }

  @Test("Seconds are a safety net")
  func seconds() throws {
    let program = try hardProgram(itemCount: 90)
    // Unlimited, this program is not solved while a test would wait; the status names what stopped it.
    let solution = try program.solve(limits: .init(wallSeconds: 0.05))
    #expect(
      [.feasible(stoppedBy: .wallSeconds), .undecided(stoppedBy: .wallSeconds)].contains(solution.status))
  }

  @Test("The same program gives the same solution, nodes and bound included")
  func determinism() throws {
    for cuts in [IntegerProgram.Cuts(), .all] {
      let limits = IntegerProgram.Limits(nodeCount: 60, cuts: cuts, usesFeasibilityPump: true)
      let first = try hardProgram().solve(limits: limits)
      #expect(try hardProgram().solve(limits: limits) == first)
    }
  }

  @Test("Many threads at once find what one finds, the serial answers")
  func threads() async throws {
    let limits = IntegerProgram.Limits(nodeCount: 200)
    let programs = try (UInt64(1)...12).map { try hardProgram(seed: $0, itemCount: 30) }
    let serial = try programs.map { try $0.solve(limits: limits) }
    // Threads of their own, more than there are cores: each begins with a fresh environment and ends with its thread.
    let found = await withTaskGroup(of: (Int, IntegerProgram.Solution?).self) { group in
      for round in 0..<4 {
        for (index, program) in programs.enumerated() {
          group.addTask {
            await withCheckedContinuation { continuation in
              Thread.detachNewThread {
                var solution = try? program.solve(limits: limits)
                if round % 2 == 1 { solution = try? program.solve(limits: limits) }
                continuation.resume(returning: (index, solution))
              }
            }
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(found.count == 48)
    for (index, solution) in found { #expect(solution == serial[index]) }
  }

  @Test("A program may be solved while another asks whether it is cancelled")
  func nested() throws {
    let inner = try hardProgram(itemCount: 15)
    let innerBest = try inner.solve().objective
    let outer = try hardProgram(itemCount: 20)
    let outerBest = try outer.solve()
    var rounds = 0
    let solution = try outer.solve {
      rounds += 1
      return rounds % 50 == 1 && (try? inner.solve().objective) != innerBest
    }
    #expect(rounds > 50)
    #expect(solution == outerBest)
  }
}
