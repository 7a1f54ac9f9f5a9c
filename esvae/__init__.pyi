from deploy.api import compare as compare
from deploy.api import energy as energy
from deploy.api import export as export
from deploy.api import load as load
from deploy.api import simulate as simulate
from deploy.api import train as train
from deploy.api import verify as verify
from deploy.loaded import LoadedNetwork as LoadedNetwork
from export.frontends import from_nir as from_nir
from export.frontends import from_norse as from_norse
from export.frontends import from_slayer as from_slayer
from export.frontends import from_snntorch as from_snntorch
from export.frontends import from_spikingjelly as from_spikingjelly

__version__: str
