/// What starts a plan's ranks on its hosts: the word of `--launcher`.
package enum JobLauncher: String, Sendable, CaseIterable {
  case torchrun, slurm, mpirun, ssh, kubernetes

  /// What it needs beside what every launch folder has.
  func files(of job: LaunchJob) -> [LaunchFile] {
    switch self {
    case .torchrun: [TorchrunScript.file(of: job)]
    case .slurm: SlurmScripts.files(of: job)
    case .mpirun: OpenMPIScripts.files(of: job)
    case .ssh: [TorchrunScript.file(of: job)] + SSHScripts.files
    case .kubernetes: [TorchrunScript.file(of: job), KubernetesScript.file(of: job)]
    }
  }

  /// What it asks of the user.
  func settings(of job: LaunchJob) -> [LauncherSetting] {
    switch self {
    case .torchrun: [TorchrunScript.options]
    case .slurm: SlurmScripts.settings
    case .mpirun: [OpenMPIScripts.options]
    case .ssh: [SSHScripts.options, TorchrunScript.options]
    case .kubernetes: KubernetesScript.settings(of: job) + [TorchrunScript.options]
    }
  }

  /// How the user starts it: a paragraph.
  func instructions(for job: LaunchJob) -> String {
    switch self {
    case .torchrun: TorchrunScript.instructions(for: job)
    case .slurm: SlurmScripts.instructions(for: job)
    case .mpirun: OpenMPIScripts.instructions(for: job)
    case .ssh: SSHScripts.instructions(for: job)
    case .kubernetes: KubernetesScript.instructions(for: job)
    }
  }
}
