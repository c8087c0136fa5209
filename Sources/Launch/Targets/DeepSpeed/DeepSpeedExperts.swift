import Documents
import JSONText

/// The section `expert_parallel`, AutoEP's (`module_inject/auto_ep_config.py`).
struct ExpertParallel {
  /// The section where it is enabled.
  private let section: Field?
  private var expertDegree = 1
  private var tensorDegree = 1

  init(_ fields: inout Fields) throws(DocumentError) {
    guard let section = fields.optional("expert_parallel") else {
      self.section = nil
      return
    }
    var experts = try section.fields()
    self.section = try experts.optional("enabled")?.boolean() == true ? section : nil
    expertDegree = try experts.optional("autoep_size")?.integer(in: StatedDegrees.bounds) ?? 1
    tensorDegree = try experts.optional("expert_tensor_parallel_size")?.integer(in: StatedDegrees.bounds) ?? 1
  }

  /// How experts are divided among the ranks of a mesh.
  func division(on mesh: Mesh) throws(DocumentError) -> Strategy.ExpertDivision {
    guard let section, expertDegree > 1 || tensorDegree > 1 else { return .none }
    guard tensorDegree == 1 else {
      throw section.conflict("expert_tensor_parallel_size is 1, and reserved for others")
    }
    guard mesh.degree(of: .tensor) == 1 else {
      throw section.conflict("expert_parallel beside tensor_parallel is not supported")
    }
    guard mesh.worldSize % expertDegree == 0 else {
      throw section.conflict("autoep_size \(expertDegree) does not divide the \(mesh.worldSize) ranks")
    }
    return Strategy.ExpertDivision(expertDegree: expertDegree, tensorDegree: 1, dispatcher: .allToAll)
  }
}
