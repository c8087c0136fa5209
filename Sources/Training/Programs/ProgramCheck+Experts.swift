import Documents

/// Who has which routed experts.
extension ProgramCheck {
  /// Every expert of every block that has any on exactly one of the ranks that divide them, for each of the ranks that
  /// divide its width and for each of those that hold the same ones; and on the rank that tokens are sent to for it.
  func expertOwnership() throws(ProgramDefect) {
    guard let experts = shape.job.model.experts else { return }
    let grid = shape.strategy.expertMesh
    var holders: [Place: Int] = [:]
    for program in programs {
      let place = grid.coordinates(ofRank: program.rank)
      for case .experts(let layer, let held) in program.parts {
        for expert in held {
          let key = Place(layer: layer, expert: expert, tensor: place[.tensor], replica: place[.data])
          if let other = holders.updateValue(program.rank, forKey: key) {
            throw .ownedTwice(.experts(layer, expert..<expert + 1), ranks: [other, program.rank])
          }
        }
      }
    }
    for program in programs {
      let place = grid.coordinates(ofRank: program.rank), held = program.parts
      for part in held where !part.isOfExperts {
        guard let own = shape.experts(of: part, rank: program.rank), !held.contains(own) else { continue }
        throw .unowned(own, replica: place[.data], tensorIndex: place[.tensor])
      }
      for part in held where part.isOfExperts {
        guard case .experts(let layer, let range) = part, range.upperBound <= experts.count else { continue }
        let block = ModelPart.block(layer, of: shape.job.model)
        guard shape.experts(of: block, rank: program.rank) == part, held.contains(block) else {
          throw .misplaced(part, rank: program.rank)
        }
      }
    }
  }

  private struct Place: Hashable {
    let layer: Int
    let expert: Int
    /// Among the ranks that divide its width, and among those that hold the same.
    let tensor: Int
    let replica: Int
  }
}
