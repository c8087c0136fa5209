/// A schedule as PyTorch's `_PipelineScheduleRuntime` loads it: a line for every stage of the pipeline, its steps in order
/// in cells. `2F0` is the forward pass of micro-batch 0 through virtual stage 2, `I` an input gradient, `W` a weight
/// gradient, `B` both, `(2F0;1B3)OVERLAP_F_B` a pair; an empty cell is nothing.
extension PipelineSchedule {
  /// The lines.
  package var csv: String {
    (0..<stageCount).map { stage in
      let steps = steps(ofStage: stage)
      func cell(_ step: PipelineStep) -> String {
        "\(virtualStageIndex(stage: stage, chunk: step.chunkIndex))\(step.pass.letter)\(step.microBatchIndex)"
      }
      var cells: [String] = [], index = 0
      while index < steps.count {
        if isPaired(index, ofStage: stage), index + 1 < steps.count {
          cells.append("(\(cell(steps[index]));\(cell(steps[index + 1])))OVERLAP_F_B")
          index += 2
        } else {
          cells.append(cell(steps[index]))
          index += 1
        }
      }
      return cells.joined(separator: ",") + "\n"
    }.joined()
  }

  /// Reads the lines.
  ///
  /// A line's virtual stages, ascending, are its stage's chunks; micro-batches are as many as the first virtual stage
  /// has forward passes.
  ///
  /// - Throws: ``ScheduleTextError`` where a cell is no step, or lines do not share the virtual stages evenly; what is
  ///   wrong with the steps is for ``defect`` to say.
  package init(csv: String) throws(ScheduleTextError) {
    var rows: [[(virtualStage: Int, pass: PipelineStep.Pass, microBatch: Int)]] = [], pairs: [[Int]] = []
    for (number, line) in csv.split(separator: "\n", omittingEmptySubsequences: true).enumerated() {
      var row: [(Int, PipelineStep.Pass, Int)] = [], paired: [Int] = []
      for cell in line.split(separator: ",", omittingEmptySubsequences: true) {
        let text = cell.drop { $0 == " " }
        guard !text.isEmpty else { continue }
        func step(_ part: Substring) throws(ScheduleTextError) -> (Int, PipelineStep.Pass, Int) {
          guard let letter = part.firstIndex(where: \.isLetter), let stage = Int(part[..<letter]),
            let pass = PipelineStep.Pass.allCases.first(where: { $0.letter == part[letter] }),
            let microBatch = Int(part[part.index(after: letter)...]),
            (0..<Self.mostInText).contains(stage), (0..<Self.mostInText).contains(microBatch)
          else { throw ScheduleTextError(line: number + 1, found: String(cell.prefix(60))) }
          return (stage, pass, microBatch)
        }
        guard text.first == "(" else {
          row.append(try step(text))
          continue
        }
        let parts = text.dropFirst().split(separator: ";", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].hasSuffix(")OVERLAP_F_B") else {
          throw ScheduleTextError(line: number + 1, found: String(cell.prefix(60)))
        }
        paired.append(row.count)
        row.append(try step(parts[0]))
        row.append(try step(parts[1].dropLast(")OVERLAP_F_B".count)))
      }
      rows.append(row)
      pairs.append(paired)
    }
    let places = rows.map { Set($0.map(\.virtualStage)).sorted() }
    let chunkCount = places.first?.count ?? 0
    guard chunkCount > 0, places.allSatisfy({ $0.count == chunkCount }),
      places.flatMap(\.self).sorted() == Array(0..<rows.count * chunkCount)
    else { throw ScheduleTextError(line: nil, found: "lines that do not share the virtual stages evenly") }
    let microBatchCount = rows.reduce(0) { most, row in row.reduce(most) { max($0, $1.microBatch + 1) } }
    self.init(
      steps: zip(rows, places).map { row, places in
        row.map { step in
          PipelineStep(
            pass: step.pass, microBatchIndex: step.microBatch,
            chunkIndex: places.firstIndex(of: step.virtualStage) ?? 0)
        }
      }, pairs: pairs, chunkCount: chunkCount, microBatchCount: microBatchCount,
      virtualStageIndex: { places[$0][$1] })
  }

  /// Virtual stages and micro-batches are numbered below this.
  private static let mostInText = 1_000_000
}

/// A schedule's text that is none: the line, and what stands there.
package struct ScheduleTextError: Error, Sendable, Hashable, CustomStringConvertible {
  /// From 1; nil where it is all lines together.
  package let line: Int?
  package let found: String

  package var description: String {
    (line.map { "line \($0): expected steps such as 2F0, found " } ?? "expected a line for every stage, found ") + found
  }
}
